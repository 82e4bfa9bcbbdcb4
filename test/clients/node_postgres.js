const { Client } = require('pg');

async function main() {
  const client = new Client();
  await client.connect();

  // A row; with a name it is a prepared statement. Objects go as JSON, arrays do not: JSON.stringify them.
  const chat = await client.query({
    name: 'open chat',
    text: 'SELECT * FROM flex_webchat_create($1, identity => $2, pre_engagement_data => $3)',
    values: ['IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'customer-4711', { topic: 'billing' }],
  });
  console.log('row:', chat.rows[0]);

  // A row as one value: text. row_to_json() makes an object of it.
  const values = await client.query(
    'SELECT chat AS value, row_to_json(chat) AS json FROM flex_webchat_create($1, identity => $2) AS chat',
    ['IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'customer-4712']);
  console.log('composite:', values.rows[0]);

  // An error.
  try {
    await client.query('SELECT * FROM flex_flow_fetch($1)', ['FOaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa']);
  } catch (error) {
    console.log('error:', error.code, error.hint);
  }

  // A cancel, by another connection. (query_timeout gives up in the client alone: the call goes on.)
  const other = new Client();
  await other.connect();
  const timer = setInterval(() => other.query('SELECT pg_cancel_backend($1)', [client.processID]), 1000);
  try {
    await client.query('SELECT * FROM flex_provisioning_status_fetch()');
  } catch (error) {
    console.log('cancelled:', error.code);
  } finally {
    clearInterval(timer);
  }
  await other.end();
  await client.end();
}

main();
