// The published OpenAPI documents: operations, their parameters, the schemas of their
// answers, and the examples of these.
//
// Schemas become JSON Schema for ajv: OpenAPI 3.0's "nullable" is a type here, and what the
// documents leave open is closed, so that an answer has each member they name and no other.
'use strict';

const fs = require('fs');
const path = require('path');
const Ajv = require('ajv');
const addFormats = require('ajv-formats');

const METHODS = ['get', 'post', 'delete'];

// "Integration.FlowSid" is integration.flowSid to the client, and a word of its own has a tail.
function clientName(name)
{
	if (name === 'Version')
		return 'versionParam';
	return name.split('.').map(word => word[0].toLowerCase() + word.slice(1).replace(/-(.)/g, '$1')).join('.');
}

function resolve(document, schema)
{
	if (!schema.$ref)
		return schema;
	return schema.$ref.split('/').slice(1).reduce((found, step) => found[step], document);
}

function jsonSchema(document, source)
{
	const schema = resolve(document, source);
	const result = {};

	for (const key of ['type', 'enum', 'pattern', 'minLength', 'maxLength', 'format'])
		if (schema[key] !== undefined)
			result[key] = schema[key];
	if (schema.items)
		result.items = jsonSchema(document, schema.items);
	if (schema.properties)
	{
		result.properties = {};
		for (const [name, member] of Object.entries(schema.properties))
			result.properties[name] = jsonSchema(document, member);
		result.required = Object.keys(schema.properties);
		result.additionalProperties = false;
	}
	if (schema.nullable && schema.type)
	{
		result.type = [schema.type, 'null'];
		if (schema.enum)
			result.enum = [...schema.enum, null];
	}
	return result;
}

function parametersOf(document, operation)
{
	const form = operation.requestBody?.content?.['application/x-www-form-urlencoded']?.schema;
	const sent = (operation.parameters ?? []).map(it => ({ name: it.name, place: it.in, required: it.required ?? false, schema: it.schema }));

	for (const [name, schema] of Object.entries(form?.properties ?? {}))
		sent.push({ name, place: 'form', required: (form.required ?? []).includes(name), schema });
	return sent.filter(it => it.place !== 'path')
		.map(it => ({ ...it, schema: resolve(document, it.schema), clientName: clientName(it.name) }));
}

// All operations, by "v1/CreateInteraction".
function read(directory)
{
	const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, strictTypes: false });
	const operations = new Map();

	addFormats(ajv);
	ajv.addFormat('uri-map', true);
	for (const file of fs.readdirSync(directory).filter(name => name.endsWith('.json')).sort())
	{
		const document = JSON.parse(fs.readFileSync(path.join(directory, file), 'utf8'));

		for (const [route, methods] of Object.entries(document.paths))
			for (const method of METHODS.filter(it => methods[it]))
			{
				const operation = methods[method];
				const [status, answer] = Object.entries(operation.responses).find(([code]) => code.startsWith('2'));
				const content = answer.content?.['application/json'];

				operations.set(`${route.split('/')[1]}/${operation.operationId}`, {
					method, route, status: Number(status),
					parameters: parametersOf(document, operation),
					takesJson: Boolean(operation.requestBody?.content?.['application/json']),
					validate: content ? ajv.compile(jsonSchema(document, content.schema)) : undefined,
					examples: Object.entries(content?.examples ?? {}).map(([name, example]) => ({ name, body: example.value }))
				});
			}
	}
	return operations;
}

// What is wrong with an answer, as lines.
function faultsOf(operation, body)
{
	if (!operation.validate)
		return body ? ['an answer has a body where the documents have none'] : [];
	if (operation.validate(body))
		return [];
	return operation.validate.errors.map(error => {
		const { additionalProperty, allowedValues } = error.params;

		return `${error.instancePath || '/'} ${error.message}${allowedValues ? ` (${allowedValues})` : ''}${additionalProperty ? ` (${additionalProperty})` : ''}`;
	});
}

const kindOf = value => value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;

// Where the schemas say nothing, the examples still show of which kind each member is: add
// what a value shows to kinds, a map from a path to the kinds seen there.
function collectKinds(kinds, value, at = '')
{
	if (!kinds.has(at))
		kinds.set(at, new Set());
	kinds.get(at).add(kindOf(value));
	if (kindOf(value) === 'array')
		value.forEach(it => collectKinds(kinds, it, `${at}[]`));
	else if (kindOf(value) === 'object')
		Object.entries(value).forEach(([name, it]) => collectKinds(kinds, it, `${at}.${name}`));
	// A string that holds JSON is a kind of its own, and what it holds is looked into.
	else if (kindOf(value) === 'string' && /^[{[]/.test(value))
		collectKinds(kinds, JSON.parse(value), `${at} as JSON`);
	return kinds;
}

// Members of an answer that are of no kind that an example has in their place.
function strangers(seen, body)
{
	const found = [];

	for (const [at, kinds] of collectKinds(new Map(), body))
		for (const kind of kinds)
			if (kind !== 'null' && seen.has(at) && !seen.get(at).has(kind) && (seen.get(at).size > 1 || !seen.get(at).has('null')))
				found.push(`${at.slice(1)} is of kind ${kind}, and in the examples ${[...seen.get(at)].join(', ')}`);
	return found;
}

module.exports = { read, faultsOf, collectKinds, strangers };
