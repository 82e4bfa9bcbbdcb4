// The official client carries out every operation against the simulator.
//
//   node client.js DOCUMENTS http://127.0.0.1:PORT all|required
//   node client.js DOCUMENTS https://127.0.0.1:PORT all|required CA [EDGE REGION]
//
// It prints a line of JSON for each operation, {"operation", "request", "faults"}, and for two
// checks of the whole.  The request is what the simulator recorded of it.  Faults are what the client said, where an answer differs from the documents'
// schema or from the kinds of value in their examples, and what of the parameters did not
// arrive as it was given.  Over https the client's own URL stays, and is verified: only its
// connections are led to the simulator.
'use strict';

const fs = require('fs');
const http = require('http');
const https = require('https');
const tls = require('tls');
const twilio = require('twilio');
const RequestClient = require('twilio/lib/base/RequestClient');

const documents = require('./documents');
const table = require('./operations');
const values = require('./values');

const [directory, address, set, authority, edge, region] = process.argv.slice(2);
const server = new URL(address);
const account = `AC${'0'.repeat(32)}`;

class Led extends RequestClient
{
	constructor()
	{
		super({ ca: authority && fs.readFileSync(authority) });
		this.hosts = new Set();
		if (authority)
			this.axios.defaults.httpsAgent.createConnection = options =>
				tls.connect({ ca: options.ca, host: server.hostname, port: server.port, servername: options.servername ?? options.host });
	}

	request(options)
	{
		this.asked = new URL(options.uri);
		this.hosts.add(this.asked.hostname);
		return super.request(authority ? options : { ...options, uri: server.origin + this.asked.pathname + this.asked.search });
	}
}

const requests = new Led();
const client = twilio(account, 'test-token', { httpClient: requests, edge, region });
const hostname = region ? `flex-api.${edge}.${region}.twilio.com` : 'flex-api.twilio.com';

// The simulator's own interface, which is no matter of the client's.
function control(method, path, body)
{
	return new Promise((resolve, reject) => {
		const options = { method, rejectUnauthorized: false };
		const request = (authority ? https : http).request(`${server.origin}/_simulator/${path}`, options, answer => {
			const parts = [];

			answer.on('data', part => parts.push(part));
			answer.on('end', () => resolve(parts.length ? JSON.parse(Buffer.concat(parts)) : undefined));
		});

		request.on('error', reject);
		request.end(body && JSON.stringify(body));
	});
}

// The client's name of a member; JavaScript's own words get a tail.
const camelCase = name => name === 'private' ? '_private' : name.replace(/_(.)/g, (whole, letter) => letter.toUpperCase());

// What of the parameters did not arrive, once each and with the value that was given.
function transportFaults(operation, given, request)
{
	const faults = [];
	const arrived = name => request.parameters.filter(([key]) => key === name).map(([, value]) => value);

	for (const parameter of operation.parameters)
	{
		const value = given[{ Page: 'pageNumber' }[parameter.name] ?? parameter.clientName];
		// The client writes its own credentials over this one.
		if (value === undefined || parameter.name === 'Authorization')
			continue;
		const wanted = (Array.isArray(value) ? value : [value]).map(it => typeof it === 'object' ? JSON.stringify(it) : String(it));
		const got = parameter.place === 'header' ? [request.headers[parameter.name.toLowerCase()]] : arrived(parameter.name);

		if (JSON.stringify(got) !== JSON.stringify(wanted))
			faults.push(`${parameter.name} arrived as ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
	}
	return faults;
}

// What the client made of an answer's members: the same values, dates as dates.
function decodingFaults(made, body)
{
	return Object.entries(body).filter(([name, value]) => {
		const decoded = made[camelCase(name)];

		return decoded instanceof Date ? decoded.getTime() !== Date.parse(value) : JSON.stringify(decoded) !== JSON.stringify(value);
	}).map(([name, value]) => `the client has ${JSON.stringify(made[camelCase(name)])} for ${name} ${JSON.stringify(value)}`);
}

async function call(name, operation, target, method, it)
{
	const given = values.parameters(name, operation, set, it);
	const argument = operation.takesJson ? values.body(name, set, it) : given;

	await control('DELETE', 'requests');
	const made = await target[method === 'list' && set === 'all' ? 'page' : method](...Object.keys(argument).length ? [argument] : []);
	const [request, ...others] = (await control('GET', 'requests')).requests;
	const answer = requests.lastResponse;
	const body = answer.body || undefined;
	const rows = method === 'list' ? made.instances ?? made : [made];
	const bodies = method === 'list' ? body[body.meta.key] : body ? [body] : [];

	return { made: rows[0], body, request, faults: [
		...answer.statusCode === operation.status ? [] : [`status ${answer.statusCode} instead of ${operation.status}`],
		...others.length ? [`${others.length} requests too many`] : [],
		...bodies.length === rows.length && (rows.length || method === 'remove') || method === 'remove' ? [] : [`${rows.length} rows of ${bodies.length}`],
		...documents.faultsOf(operation, body),
		...body ? documents.strangers(operation.kinds, body) : [],
		...transportFaults(operation, given, request),
		...bodies.flatMap((row, i) => decodingFaults(rows[i], row))
	] };
}

// What some operations need besides, whatever they are given themselves.
const preparations = {
	'v1/ListConfiguredPlugin': async (v1, it) => {
		it.filled = (await v1.pluginConfigurations.create({ name: 'filled', plugins: [{ plugin_version: it.version, phase: 3 }] })).sid;
	},
	'v1/ListInsightsQuestionnaires': v1 => v1.insightsQuestionnaires.create({ name: 'active', active: true })
};

// A list over several pages: their URLs name the plain host, and the client goes on where it began.
async function pages(v1)
{
	await control('POST', 'settings', { public_urls: true });
	await control('POST', 'seed', { flows: 3 });
	await control('DELETE', 'requests');
	const flows = await v1.flexFlow.list({ pageSize: 1 });
	const asked = (await control('GET', 'requests')).requests.length;
	const answer = requests.lastResponse.body;

	await control('POST', 'settings', { public_urls: false });
	return [
		...flows.length >= 3 && asked >= 3 ? [] : [`${flows.length} rows, ${asked} pages`],
		...answer.meta.url.startsWith('https://flex-api.twilio.com/v1/FlexFlows?') ? [] : [`a page is ${answer.meta.url}`]
	];
}

async function main()
{
	const operations = documents.read(directory);
	const it = { account, instance: values.sid('GO'), user: values.sid('FU') };
	const { v1, v2 } = client.flexApi;

	await control('POST', 'reset');
	for (const operation of operations.values())
		operation.kinds = operation.examples.reduce((kinds, example) => documents.collectKinds(kinds, example.body), new Map());
	for (const [name, resource, method, keep] of table)
	{
		const operation = operations.get(name);
		let faults, request;

		operations.delete(name);
		try
		{
			await preparations[name]?.(v1, it);
			const result = await call(name, operation, resource(v1, it, v2), method, it);

			({ faults, request } = result);
			for (const [kept, member] of Object.entries(keep ?? {}))
				it[kept] = result.made[member];
			if (name === 'v1/FetchConfiguration')
				it.configurationBody = result.body;
		}
		catch (error)
		{
			faults = [String(error)];
		}
		console.log(JSON.stringify({ operation: name, request, faults }));
	}
	for (const name of operations.keys())
		console.log(JSON.stringify({ operation: name, faults: ['no call of the client stands for it'] }));
	console.log(JSON.stringify({ check: 'a list of several pages', faults: await pages(v1) }));
	console.log(JSON.stringify({ check: 'the host that was asked', faults: [...requests.hosts].filter(it => it !== hostname) }));
}

main();
