import threading
import psycopg
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.json import Jsonb

with psycopg.connect(autocommit=True) as connection:
    # A row; jsonb goes as Jsonb, and prepare=True makes it a prepared statement.
    chat = connection.execute(
        "SELECT * FROM flex_webchat_create(%s, identity => %s, pre_engagement_data => %s)",
        ("IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "customer-4711", Jsonb({"topic": "billing"})),
        prepare=True).fetchone()
    print("row:", chat)

    # A row as one value: text, unless its type is registered.
    register_composite(CompositeInfo.fetch(connection, "flex_webchat"), connection)
    print("composite:", connection.execute(
        "SELECT flex_webchat_create(%s, identity => %s)",
        ("IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "customer-4712")).fetchone()[0])

    # An error.
    try:
        connection.execute("SELECT * FROM flex_flow_fetch(%s)", ("FOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",))
    except psycopg.Error as error:
        print("error:", error.sqlstate, error.diag.message_hint)

    # A cancel, by another thread; it does nothing before the call has begun.
    done = threading.Event()

    def give_up():
        while not done.wait(1):
            connection.cancel()

    threading.Thread(target=give_up).start()
    try:
        connection.execute("SELECT * FROM flex_provisioning_status_fetch()")
    except psycopg.errors.QueryCanceled as error:
        print("cancelled:", error.sqlstate)
    finally:
        done.set()
