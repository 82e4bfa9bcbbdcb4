// Shows what the simulator has and does, once a second. Everything from requests goes
// into the page as text, never as markup.
'use strict';

const CLASSES = ['good', 'refused', 'too-many', 'failed'];
const STEPS = {
	active: ['join', 'transfer', 'wrapup', 'close'],
	transfer: ['accept_transfer', 'refuse_transfer'],
	inactive: ['close'],
};
const byId = id => document.getElementById(id);

// A row of a table; a cell is a text, or an element.
function row(...cells) {
	const line = document.createElement('tr');
	for (const content of cells)
		line.insertCell().append(content);
	return line;
}

// Fills a table, or says that there is nothing to fill it with.
function fill(id, rows, nothing) {
	const table = byId(id);
	if (rows.length === 0) {
		const line = row(nothing);
		line.cells[0].colSpan = table.tHead.rows[0].cells.length;
		line.cells[0].className = 'none';
		rows = [line];
	}
	table.tBodies[0].replaceChildren(...rows);
}

function classOf(status) {
	return status === 429 ? 'too-many' : status >= 500 ? 'failed' : status >= 400 ? 'refused' : 'good';
}

function mark(text, name) {
	const span = document.createElement('span');
	span.className = name;
	span.textContent = text;
	return span;
}

// One bar a second, its parts from the bottom up in the order of the classes.
function drawTraffic(seconds) {
	const peak = Math.max(1, ...seconds.map(second => second.reduce((sum, count) => sum + count, 0)));
	const bars = [];
	seconds.forEach((second, x) => {
		let top = 120;
		second.forEach((count, kind) => {
			if (count === 0)
				return;
			const bar = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
			const height = count / peak * 115;
			top -= height;
			for (const [name, value] of Object.entries({ x: x * 10, y: top, width: 9, height, class: CLASSES[kind] }))
				bar.setAttribute(name, value);
			bars.push(bar);
		});
	});
	byId('traffic').replaceChildren(...bars);
	byId('peak').textContent = `the highest bar is ${peak}`;
}

// Has an interaction go on.
async function step(interaction, name) {
	const answer = await fetch('/_simulator/step', {
		method: 'POST',
		body: JSON.stringify({ account_sid: interaction.account_sid, interaction_sid: interaction.sid, step: name }),
	});
	const told = await answer.json();
	if (answer.ok)
		await refresh();
	else
		say(told.problem, true);
}

function buttonsFor(interaction) {
	const buttons = document.createElement('span');
	for (const name of STEPS[interaction.status] ?? []) {
		const button = document.createElement('button');
		button.textContent = name.replace('_', ' ');
		button.addEventListener('click', () => step(interaction, name));
		buttons.append(button);
	}
	return buttons;
}

function say(text, failed) {
	byId('state').textContent = text;
	byId('state').className = failed ? 'failed' : '';
}

function describeLimits(limits) {
	const parts = [];
	if (limits.per_account !== null)
		parts.push(`${limits.per_account} per second of each account`);
	if (limits.per_operation !== null)
		parts.push(`${limits.per_operation} per second of each operation`);
	for (const [operation, limit] of Object.entries(limits.operations))
		parts.push(`${limit} per second of ${operation}`);
	return parts.join(', ') || 'none';
}

// What a table would not show otherwise than before stays: buttons are not pulled from under the mouse.
let shown = {};
function changed(part, content) {
	const text = JSON.stringify(content);
	if (shown[part] === text)
		return false;
	shown[part] = text;
	return true;
}

function show(overview) {
	const counters = overview.counters;
	byId('clock').textContent = overview.clock.now + (overview.clock.stopped ? ' (stopped)' : '');
	byId('totals').textContent = `${counters.requests} requests on ${counters.connections} connections`;
	byId('limits').textContent = describeLimits(overview.limits);
	drawTraffic(overview.traffic);
	if (changed('interactions', overview.interactions))
		fill('interactions', overview.interactions.map(one => row(one.sid, one.type ?? '', one.status ?? '', one.assignment ?? '', buttonsFor(one))),
			'none yet');
	if (changed('requests', overview.recent))
		fill('requests', overview.recent.map(one => row(String(one.n), `${one.method} ${one.uri}`, mark(String(one.status), classOf(one.status)))), 'none yet');
	if (changed('accounts', overview.accounts))
		fill('accounts', overview.accounts.flatMap(account => Object.entries(account.collections).map(([path, count], i) =>
			row(i === 0 ? account.account_sid + (account.suspended ? ' (suspended)' : '') : '', path, String(count)))), 'nothing');
	if (changed('faults', overview.faults))
		fill('faults', overview.faults.faults.map(one => row(JSON.stringify(one.fault), one.times < 0 ? 'for ever' : String(one.times))), 'none');
	if (changed('deliveries', overview.deliveries))
		fill('deliveries', overview.deliveries.deliveries.slice(-15).reverse().map(one => row(one.event, String(one.attempts),
			mark(one.error || (one.over ? String(one.status) : 'under way'), one.error ? 'failed' : classOf(one.status)))), 'none');
}

async function refresh() {
	try {
		const answer = await fetch('/_simulator/overview');
		show(await answer.json());
		say('live', false);
	} catch (error) {
		say('the simulator does not answer', true);
	}
}

refresh();
setInterval(refresh, 1000);
