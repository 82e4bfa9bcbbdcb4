import asyncio
import json
import asyncpg


async def main():
    connection = await asyncpg.connect()
    # jsonb comes and goes as text, unless it is told otherwise.
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)

    # A row; every query with arguments is a prepared statement.
    chat = await connection.fetchrow(
        "SELECT * FROM flex_webchat_create($1, identity => $2, pre_engagement_data => $3)",
        "IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "customer-4711", {"topic": "billing"})
    print("row:", chat)

    # A row as one value: a Record, too.
    value = await connection.fetchval(
        "SELECT flex_webchat_create($1, identity => $2)", "IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "customer-4712")
    print("composite:", value)

    # An error: a SQLSTATE that asyncpg does not know is its PostgresError.
    try:
        await connection.fetchrow("SELECT * FROM flex_flow_fetch($1)", "FOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
    except asyncpg.PostgresError as error:
        print("error:", error.sqlstate, error.hint)

    # A time-out, or a task's cancel(), cancels the call in the server.
    try:
        await connection.fetchrow("SELECT * FROM flex_provisioning_status_fetch()", timeout=1)
    except asyncio.TimeoutError:
        print("cancelled:", await connection.fetchval("SELECT 'the connection goes on'"))
    await connection.close()


asyncio.run(main())
