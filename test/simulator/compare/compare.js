// Compares flex_simulator with Prism and WireMock on what a developer for Flex needs:
// npm install, then: node compare.js FOLDER-OF-THE-OPENAPI-DOCUMENTS
//
// All three serve the published documents: Prism by reading them, WireMock by stubs that
// are made of their examples here, the simulator by the facts that were derived from them.
// wrk measures the speed where it is installed; WireMock needs a Java runtime.
'use strict';

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const ACCOUNT = 'AC' + '0'.repeat(32);
const BASIC = 'Basic ' + Buffer.from(`${ACCOUNT}:test-token`).toString('base64');
const documents = readDocuments(process.argv[2]);

// Both documents as one.
function readDocuments(folder) {
	const read = name => JSON.parse(fs.readFileSync(path.join(folder, name)));
	const [one, two] = ['twilio_flex_v1.json', 'twilio_flex_v2.json'].map(read);
	Object.assign(one.paths, two.paths);
	for (const [kind, entries] of Object.entries(two.components))
		one.components[kind] = { ...one.components[kind], ...entries };
	return one;
}

// Every operation: method, path, what it answers, and its parameters.
function* operationsOf(api) {
	for (const [template, item] of Object.entries(api.paths))
		for (const method of ['get', 'post', 'delete'])
			if (item[method]) {
				const [status, response] = Object.entries(item[method].responses).find(([code]) => code.startsWith('2'));
				const content = response.content?.['application/json'];
				yield { method, template, described: item[method], status: Number(status), schema: content?.schema,
					example: Object.values(content?.examples ?? {})[0]?.value };
			}
}

function freePort() {
	return new Promise(resolve => {
		const server = net.createServer().listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}

const started = [];
function start(program, options) {
	const child = spawn(program, options, { stdio: 'ignore' });
	started.push(child);
	return child;
}

// Waits until something answers; returns how long that took, in seconds.
async function untilServed(url) {
	const begin = performance.now();
	for (;;) {
		try {
			await fetch(url, { headers: { Authorization: BASIC } });
			return (performance.now() - begin) / 1000;
		} catch {
			if (performance.now() - begin > 120000)
				throw new Error(`nothing answers at ${url}`);
			await new Promise(resolve => setTimeout(resolve, 20));
		}
	}
}

// Asks a server: what comes back is status, body (decoded if it is JSON) and headers.
async function ask(base, method, place, form, headers = { Authorization: BASIC }) {
	const json = form instanceof Map ? undefined : form;
	const body = form instanceof Map ? new URLSearchParams([...form]) : json && JSON.stringify(json);
	const answer = await fetch(base + place, {
		method: method.toUpperCase(), body, headers: json ? { ...headers, 'Content-Type': 'application/json' } : headers, signal: AbortSignal.timeout(20000) });
	const text = await answer.text();
	try {
		return { status: answer.status, body: JSON.parse(text), text, headers: answer.headers };
	} catch {
		return { status: answer.status, text, headers: answer.headers };
	}
}

function resolve(schema) {
	return schema?.$ref ? documents.components.schemas[schema.$ref.split('/').pop()] : schema;
}

// What is wrong with a value by a schema: types, patterns, enumerations, and that the members are there.
function* faultsOf(value, schema, where = '') {
	schema = resolve(schema);
	if (!schema || value === null || value === undefined)
		return;
	const type = Array.isArray(value) ? 'array' : Number.isInteger(value) && schema.type === 'integer' ? 'integer' : typeof value;
	if (schema.type && type !== schema.type)
		yield `${where}: ${type}, not ${schema.type}`;
	if (type === 'string' && schema.pattern && !new RegExp(schema.pattern).test(value))
		yield `${where}: "${value}" does not fit ${schema.pattern}`;
	if (type === 'string' && schema.enum && !schema.enum.includes(value))
		yield `${where}: "${value}" is not one of ${schema.enum}`;
	if (type === 'object')
		for (const [name, member] of Object.entries(schema.properties ?? {})) {
			if (!(name in value))
				yield `${where}.${name} is missing`;
			yield* faultsOf(value[name], member, `${where}.${name}`);
		}
	if (type === 'array')
		for (const [i, item] of value.entries())
			yield* faultsOf(item, schema.items, `${where}[${i}]`);
}

// A value that a parameter takes. What depends on resources is in `known`.
function valueOf(name, schema, known) {
	schema = resolve(schema) ?? {};
	if (name in known)
		return known[name];
	const prefix = /^\^([A-Z]{2})\[/.exec(schema.pattern ?? '');
	if (prefix)
		return prefix[1] + 'a'.repeat(32);
	if (schema.enum)
		return schema.enum[0];
	return { boolean: 'true', integer: '1', number: '1' }[schema.type] ?? (schema.format === 'uri' ? 'https://www.example.com' : schema.type ? 'text' : '{}');
}

// The required parameters of an operation as a form, or what it takes as JSON.
function bodyOf(operation, known) {
	const content = operation.described.requestBody?.content ?? {};
	if (content['application/json'])
		return operation.template === '/v1/Configuration' ? { account_sid: ACCOUNT } : {};
	const schema = resolve(content['application/x-www-form-urlencoded']?.schema);
	const form = new Map();
	for (const name of schema?.required ?? [])
		form.set(name, valueOf(name, schema.properties[name], known));
	return operation.method === 'post' ? form : undefined;
}

// A path of a template; a place among `rows` where there is one.
function pathOf(template, rows) {
	const pattern = new RegExp('^' + template.replace(/\{\w+\}/g, '[^/]+') + '$');
	const row = rows.find(one => pattern.test(one));
	if (row)
		return row;
	const owner = rows.find(one => new RegExp('^' + template.replace(/\/[^/]+$/, '').replace(/\{\w+\}/g, '[^/]+') + '$').test(one));
	if (owner)
		return owner + template.slice(template.lastIndexOf('/'));
	const parameters = Object.fromEntries(['get', 'post', 'delete'].flatMap(method => documents.paths[template][method]?.parameters ?? []).map(one => [one.name, one.schema]));
	return template.replace(/\{(\w+)\}/g, (_, name) => valueOf(name, parameters[name], {}));
}

// Each operation by a valid request: is the answer's status the documented one, and its body what the schema says?
async function conformance(base, prepare) {
	let good = 0;
	const bad = [];
	for (const operation of operationsOf(documents)) {
		const { rows, known } = await prepare();
		const answer = await ask(base, operation.method, pathOf(operation.template, rows), bodyOf(operation, known));
		const faults = [...faultsOf(answer.body, operation.schema)];
		if (answer.status === operation.status && faults.length === 0)
			good++;
		else
			bad.push(`${operation.method.toUpperCase()} ${operation.template}: ${answer.status} ${faults[0] ?? answer.text.slice(0, 120)}`);
	}
	return { good, bad };
}

const sid = (prefix, digit) => prefix + digit.repeat(32);
const flow = () => new Map([['FriendlyName', 'Support'], ['ChatServiceSid', sid('IS', 'a')], ['ChannelType', 'web']]);

// What a developer needs besides: each is a question that a server answers with yes or no.
const QUESTIONS = [
	['state', 'what was made is found by its SID', async base => {
		const made = await ask(base, 'post', '/v1/FlexFlows', flow());
		const found = await ask(base, 'get', `/v1/FlexFlows/${made.body.sid}`);
		return found.body?.friendly_name === 'Support';
	}],
	['state', 'two that were made are two', async base => {
		const [one, two] = [await ask(base, 'post', '/v1/FlexFlows', flow()), await ask(base, 'post', '/v1/FlexFlows', flow())];
		return one.body.sid !== two.body.sid;
	}],
	['state', 'what was changed is as it was changed', async base => {
		const made = await ask(base, 'post', '/v1/FlexFlows', flow());
		await ask(base, 'post', `/v1/FlexFlows/${made.body.sid}`, new Map([['FriendlyName', 'Sales']]));
		return (await ask(base, 'get', `/v1/FlexFlows/${made.body.sid}`)).body?.friendly_name === 'Sales';
	}],
	['state', 'what was deleted is gone (404)', async base => {
		const made = await ask(base, 'post', '/v1/FlexFlows', flow());
		await ask(base, 'delete', `/v1/FlexFlows/${made.body.sid}`);
		return (await ask(base, 'get', `/v1/FlexFlows/${made.body.sid}`)).status === 404;
	}],
	['state', 'a list has pages that lead from one to the next', async base => {
		for (let i = 0; i < 5; i++)
			await ask(base, 'post', '/v1/FlexFlows', flow());
		const page = await ask(base, 'get', '/v1/FlexFlows?PageSize=2');
		const next = page.body.meta?.next_page_url && new URL(page.body.meta.next_page_url);
		const second = next && await ask(base, 'get', next.pathname + next.search);
		return page.body.flex_flows?.length === 2 && second?.body.flex_flows?.[0].sid !== page.body.flex_flows[0].sid;
	}],
	['state', "an interaction's channel goes from setup to active", async base => {
		const made = await ask(base, 'post', '/v1/Interactions', new Map([['Channel', '{"type":"web","initiated_by":"customer"}']]));
		const place = `/v1/Interactions/${made.body.sid}/Channels/${made.body.channel?.sid}`;
		const first = await ask(base, 'get', place);
		await new Promise(done => setTimeout(done, 1000));
		return first.body?.status === 'setup' && (await ask(base, 'get', place)).body.status === 'active';
	}],
	['correctness', "what was sent is in the answer (a flow's name)", async base => (await ask(base, 'post', '/v1/FlexFlows', flow())).body?.friendly_name === 'Support'],
	['correctness', "an interaction's attributes are a string that holds what was sent", async base => {
		const made = await ask(base, 'post', '/v1/Interactions', new Map([['Channel', '{"type":"web"}'], ['Routing', '{"properties":{"attributes":{"ticket":17}}}']]));
		const attributes = made.body?.routing?.properties?.attributes;
		return typeof attributes === 'string' && JSON.parse(attributes).ticket === 17;
	}],
	['correctness', "links lead to the server that was asked", async base => {
		const made = await ask(base, 'post', '/v1/FlexFlows', flow());
		return made.body?.url?.startsWith(base) === true;
	}],
	['refusals', 'no credentials: 401', async base => (await ask(base, 'get', '/v1/FlexFlows', undefined, {})).status === 401],
	['refusals', 'wrong credentials: 401, code 20003', async base => {
		const answer = await ask(base, 'get', '/v1/FlexFlows', undefined, { Authorization: 'Basic eDp5' });
		return answer.status === 401 && answer.body?.code === 20003;
	}],
	['refusals', 'a required parameter is missing: 400, code 20001', async base => {
		const answer = await ask(base, 'post', '/v1/FlexFlows', new Map([['FriendlyName', 'x']]));
		return answer.status === 400 && answer.body?.code === 20001;
	}],
	['refusals', 'a SID that is none, in a form: 400, code 20001', async base => {
		const answer = await ask(base, 'post', '/v1/FlexFlows', new Map([...flow(), ['ChatServiceSid', 'IS1']]));
		return answer.status === 400 && answer.body?.code === 20001;
	}],
	['refusals', 'a page of 1001 rows: 400, code 20007', async base => {
		const answer = await ask(base, 'get', '/v1/FlexFlows?PageSize=1001');
		return answer.status === 400 && answer.body?.code === 20007;
	}],
	['refusals', 'a channel of a flow that is not there: 400', async base => (await ask(base, 'post', '/v1/Channels',
		new Map([['FlexFlowSid', sid('FO', 'f')], ['Identity', 'x'], ['ChatUserFriendlyName', 'x'], ['ChatFriendlyName', 'x']]))).status === 400],
	['refusals', 'v2 refuses as RFC 9457 says', async base => {
		const answer = await ask(base, 'post', '/v2/WebChats', new Map());
		return answer.status === 400 && answer.headers.get('content-type') === 'application/problem+json';
	}],
];

// Faults that can be asked for: each server has its own way (`faults` of it), or none. A fetch of flows is what meets them.
const FAULTS = [
	['slow', 'an answer that comes a second later', async list => {
		const begin = performance.now();
		return (await list()).status === 200 && performance.now() - begin >= 1000;
	}],
	['429', '429 without Retry-After', async list => {
		const answer = await list();
		return answer.status === 429 && !answer.headers.has('retry-after');
	}],
	['reset', 'a connection that breaks', async list => list().then(() => false, () => true)],
	['cut', 'an answer that is cut', async list => list().then(() => false, () => true)],
	['odd', 'an answer with odd bytes', async list => list().then(answer => answer.body === undefined, () => true)],
	['chance', 'one in two requests fails, by a seed', async list => {
		const statuses = [];
		for (let i = 0; i < 40; i++)
			statuses.push((await list()).status);
		return statuses.includes(200) && statuses.includes(500);
	}],
	['limit', '5 per second of each operation, then 429', async list => {
		const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await list()).status));
		const good = statuses.filter(status => status === 200).length;
		return good >= 5 && good <= 10 && statuses.includes(429);
	}],
];

// Which of the faults a server has.
async function measureFaults(server) {
	const answers = [];
	for (const [name, , question] of FAULTS) {
		const headers = { Authorization: BASIC, ...(await server.faults?.[name]?.()) };
		const list = () => ask(server.base, 'get', '/v1/FlexFlows', undefined, headers);
		answers.push(server.faults?.[name] !== undefined && await question(list).catch(() => false));
		await server.clearFaults?.();
	}
	return answers;
}

// The lines about one server.
async function measure(server) {
	const startup = await untilServed(server.base + '/v1/FlexFlows');
	const conforms = await conformance(server.base, server.prepare ?? (async () => ({ rows: [], known: { Channel: '{"type":"web"}' } })));
	const answers = [];
	for (const [, , question] of QUESTIONS)
		answers.push(await question(server.base).catch(() => false));
	const rate = place => {
		try {
			const told = execFileSync('wrk', ['-t1', '-c16', '-d5s', '-H', `Authorization: ${BASIC}`, server.base + place], { encoding: 'utf8' });
			return Math.round(Number(/Requests\/sec:\s+([\d.]+)/.exec(told)[1])) + (/Non-2xx[^\d]*(\d+)/.test(told) ? ' (not all 2xx)' : '');
		} catch {
			return 'not measured: wrk is not there';
		}
	};
	const place = (await server.fetchable?.()) ?? `/v1/FlexFlows/${sid('FO', 'a')}`;
	await rate(place); // what compiles as it runs has done so then
	const speeds = [rate(place), rate('/v1/FlexFlows?PageSize=50')];
	const memory = Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${server.pid()}/status`, 'utf8'))[1]) / 1024;
	const faults = await measureFaults(server);
	return { startup, conforms, answers, faults, speeds, memory };
}

async function startSimulator() {
	const port = await freePort();
	const child = start(path.join(__dirname, '../flex_simulator'), ['--port', port]);
	const base = `http://127.0.0.1:${port}`;
	const control = (name, wish) => fetch(`${base}/_simulator/${name}`, { method: wish ? 'POST' : 'GET', body: wish && JSON.stringify(wish) });
	// One of each kind of resource, and what refers to others.
	const prepare = async () => {
		await control('reset', {});
		for (const word of ['flows', 'channels', 'web_channels', 'interactions', 'plugins', '/v1/PluginService/Plugins/{}/Versions', '/v1/PluginService/Configurations',
			'/v1/PluginService/Configurations/{}/Plugins', '/v1/PluginService/Releases', '/v1/Interactions/{}/Channels', '/v1/Interactions/{}/Channels/{}/Participants',
			'/v1/Interactions/{}/Channels/{}/Invites', '/v1/Interactions/{}/Channels/{}/Transfers', ...Object.keys(documents.paths).filter(one => /^\/v1\/Insights\/.*\/(Categories|Questions|Questionnaires|Assessments|Comments)$/.test(one))])
			await control('seed', { [word]: 1 });
		const state = (await (await control('state')).json()).accounts[ACCOUNT];
		const all = Object.values(state).flat();
		const urls = all.map(row => row.url?.replace('https://flex-api.twilio.com', '')).filter(Boolean);
		const first = collection => (state[collection] ?? [])[0] ?? {};
		const version = Object.entries(state).find(([key]) => key.endsWith('/Versions'))?.[1][0].sid;
		return { rows: urls, known: {
			FlexFlowSid: first('/v1/FlexFlows').sid, Channel: '{"type":"web"}', Routing: '{"properties":{}}', ConfigurationId: first('/v1/PluginService/Configurations').sid,
			Plugins: JSON.stringify({ plugin_version: version }), CategorySid: first('/v1/Insights/QualityManagement/Categories').category_sid,
			QuestionnaireSid: first('/v1/Insights/QualityManagement/Questionnaires').questionnaire_sid, AddressSid: sid('IG', 'a'), UniqueName: 'another', Version: '9.9.9' } };
	};
	const fetchable = async () => (await prepare()).rows.find(one => one.startsWith('/v1/FlexFlows/'));
	const fault = wish => () => control('faults', { times: -1, ...wish }).then(() => ({}));
	const faults = { slow: fault({ delay_ms: 1000 }), 429: fault({ fault: '429' }), reset: fault({ fault: 'refused_connection' }), cut: fault({ fault: 'cut' }),
		odd: fault({ body_base64: '//79/A==' }), chance: fault({ fault: '500', chance: 0.5, seed: 7 }), limit: () => control('limits', { per_operation: 5 }).then(() => ({})) };
	const clearFaults = () => control('reset', {});
	return { name: 'flex_simulator', faults, clearFaults, base, prepare, fetchable, pid: () => child.pid };
}

async function startPrism(folder) {
	const port = await freePort();
	const file = path.join(folder, 'flex.json');
	fs.writeFileSync(file, JSON.stringify(documents));
	const child = start(process.execPath, [path.join(__dirname, 'node_modules/@stoplight/prism-cli/dist/index.js'), 'mock', '-p', port, '-h', '127.0.0.1', file]);
	const faults = { 429: async () => ({ Prefer: 'code=429' }) };
	return { name: 'Prism', faults, base: `http://127.0.0.1:${port}`, pid: () => child.pid };
}

async function startWireMock(folder) {
	const port = await freePort();
	fs.mkdirSync(path.join(folder, 'mappings'));
	let number = 0;
	for (const operation of operationsOf(documents)) {
		const literal = !operation.template.includes('{');
		const stub = { priority: literal ? 1 : 5, request: { method: operation.method.toUpperCase(), urlPathPattern: operation.template.replace(/\{\w+\}/g, '[^/]+') },
			response: { status: operation.status, ...(operation.example ? { jsonBody: operation.example, headers: { 'Content-Type': 'application/json' } } : {}) } };
		fs.writeFileSync(path.join(folder, `mappings/${number++}.json`), JSON.stringify(stub));
	}
	const jar = fs.readdirSync(path.join(__dirname, 'node_modules/wiremock/build')).find(name => name.endsWith('.jar'));
	const child = start('java', ['-jar', path.join(__dirname, 'node_modules/wiremock/build', jar), '--port', port, '--root-dir', folder, '--disable-banner', '--no-request-journal']);
	const base = `http://127.0.0.1:${port}`;
	const fault = response => () => fetch(`${base}/__admin/mappings`, { method: 'POST', body: JSON.stringify(
		{ id: '00000000-0000-0000-0000-000000000001', priority: 1, request: { method: 'GET', urlPath: '/v1/FlexFlows' }, response }) }).then(() => ({}));
	const faults = { slow: fault({ status: 200, jsonBody: {}, fixedDelayMilliseconds: 1000 }), 429: fault({ status: 429 }), reset: fault({ fault: 'CONNECTION_RESET_BY_PEER' }),
		cut: fault({ fault: 'MALFORMED_RESPONSE_CHUNK' }), odd: fault({ fault: 'RANDOM_DATA_THEN_CLOSE' }) };
	const clearFaults = () => fetch(`${base}/__admin/mappings/00000000-0000-0000-0000-000000000001`, { method: 'DELETE' });
	return { name: 'WireMock', faults, clearFaults, base, pid: () => child.pid };
}

async function main() {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'compare-'));
	const results = [];
	try {
		for (const begin of [startSimulator, () => startPrism(folder), () => startWireMock(folder)]) {
			const server = await begin();
			results.push({ name: server.name, ...(await measure(server)) });
			started.pop().kill('SIGKILL');
		}
	} finally {
		for (const child of started)
			child.kill('SIGKILL');
		fs.rmSync(folder, { recursive: true });
	}
	const line = (title, values) => console.log(`| ${[title, ...values].join(' | ')} |`);
	line('', results.map(one => one.name));
	console.log(`|---${'|---'.repeat(results.length)}|`);
	line('operations whose answer has the documented status and fits the schema', results.map(one => `${one.conforms.good} of ${one.conforms.good + one.conforms.bad.length}`));
	QUESTIONS.forEach(([kind, title], i) => line(`${kind}: ${title}`, results.map(one => (one.answers[i] ? 'yes' : 'no'))));
	line('questions answered with yes', results.map(one => `${one.answers.filter(Boolean).length} of ${QUESTIONS.length}`));
	FAULTS.forEach(([, title], i) => line(`faults: ${title}`, results.map(one => (one.faults[i] ? 'yes' : 'no'))));
	line('one resource fetched, requests per second', results.map(one => one.speeds[0]));
	line('a list fetched, requests per second', results.map(one => one.speeds[1]));
	line('from start to first answer, seconds', results.map(one => one.startup.toFixed(2)));
	line('memory then, MB', results.map(one => one.memory.toFixed(0)));
	for (const one of results)
		for (const bad of one.conforms.bad)
			console.error(`${one.name}: ${bad}`);
}

main();
