// Shows the operations of the OpenAPI document that the simulator makes of its facts.
'use strict';

const operations = [];

function element(name, text) {
	const made = document.createElement(name);
	if (text !== undefined)
		made.textContent = text;
	return made;
}

// What a schema says of a value, in a few words.
function describe(schema) {
	if (schema.$ref)
		return schema.$ref.replace(/^.*\//, '');
	const parts = [schema.type ?? 'any'];
	if (schema.format)
		parts.push(schema.format);
	if (schema.pattern)
		parts.push(schema.pattern);
	if (schema.enum)
		parts.push(schema.enum.join(' | '));
	return parts.join(', ');
}

function table(title, lines) {
	const made = document.createElement('table');
	made.createTHead().insertRow().append(...title.map(text => element('th', text)));
	const body = made.createTBody();
	for (const line of lines) {
		const row = body.insertRow();
		for (const text of line)
			row.insertCell().textContent = text;
	}
	return made;
}

// The parameters of an operation: name, place, whether it is needed, what it is.
function parametersOf(operation) {
	const lines = operation.parameters.map(one => [one.name, one.in, one.required ? 'yes' : '', describe(one.schema)]);
	for (const [type, content] of Object.entries(operation.requestBody?.content ?? {}))
		for (const [name, schema] of Object.entries(content.schema.properties))
			lines.push([name, type === 'application/json' ? 'json' : 'form', content.schema.required?.includes(name) ? 'yes' : '', describe(schema)]);
	return lines;
}

// The members that an operation answers with.
function membersOf(operation, schemas) {
	for (const response of Object.values(operation.responses)) {
		let schema = response.content?.['application/json'].schema;
		if (schema && !schema.$ref)
			schema = Object.values(schema.properties).find(property => property.items)?.items;
		if (schema)
			return Object.entries(schemas[schema.$ref.replace('#/components/schemas/', '')].properties)
				.map(([name, member]) => [name, describe(member)]);
	}
	return [];
}

function show(path, method, operation, schemas) {
	const details = element('details');
	const summary = element('summary');
	const parameters = parametersOf(operation);
	const members = membersOf(operation, schemas);
	summary.append(element('b', method.toUpperCase()), `${path} `, element('small', operation.operationId));
	details.append(summary);
	if (parameters.length > 0)
		details.append(table(['Parameter', 'In', 'Required', 'Value'], parameters));
	if (members.length > 0)
		details.append(table(['Answered member', 'Value'], members));
	operations.push({ details, text: [method, path, operation.operationId, ...parameters.flat()].join(' ').toLowerCase() });
	return details;
}

function filter() {
	const words = document.getElementById('filter').value.toLowerCase().split(/\s+/);
	let count = 0;
	for (const { details, text } of operations) {
		details.hidden = !words.every(word => text.includes(word));
		count += details.hidden ? 0 : 1;
	}
	document.getElementById('count').textContent = `${count} of ${operations.length}`;
}

async function start() {
	const answer = await fetch('/simulator/openapi.json');
	const api = await answer.json();
	for (const [path, methods] of Object.entries(api.paths))
		for (const [method, operation] of Object.entries(methods))
			document.getElementById('operations').append(show(path, method, operation, api.components.schemas));
	document.getElementById('filter').addEventListener('input', filter);
	filter();
}

start();
