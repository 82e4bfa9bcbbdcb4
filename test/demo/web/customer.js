// The customer's page: opens a ticket, waits until its chat is open, and then reads and
// writes there as the identity of its token.  A page for Twilio itself would give the token
// to the Conversations SDK in the place of `messages`, and hear of new messages by it.
'use strict';

const part = id => document.getElementById(id);
let key;
let ticket;
let shown = 0;

function tell(words) { part('state').textContent = words; }

async function fetchJson(url, options) {
	const answer = await fetch(url, options);
	if (!answer.ok)
		throw new Error(`${url} answered ${answer.status}`);
	return answer.json();
}

function messages(options = {}) {
	const url = `${ticket.service}/Conversations/${ticket.conversation}/Messages`;
	return fetchJson(url, { ...options, headers: { Authorization: `Bearer ${ticket.token}` } });
}

function show(message) {
	const line = document.createElement('li');
	line.className = message.author === ticket.identity ? 'mine' : 'theirs';
	line.textContent = message.body;
	part('messages').append(line);
	shown++;
}

// Looks for what is new, and again in a moment, until the ticket is closed.
async function look() {
	try {
		ticket = await fetchJson(`tickets/${key}`);
		if (ticket.conversation !== null)
			(await messages()).messages.slice(shown).forEach(show);
		part('message').hidden = ticket.conversation === null || !ticket.open;
		tell(!ticket.open ? `Ticket ${ticket.number} is closed. Thank you!`
			: ticket.conversation === null ? `Ticket ${ticket.number}: the chat is being opened ...`
			: ticket.agent ? `Ticket ${ticket.number}: an agent is here.` : `Ticket ${ticket.number}: an agent will be with you.`);
	} catch (error) {
		tell(`Something went wrong: ${error.message}`);
	}
	if (!ticket || ticket.open)
		setTimeout(look, 300);
}

part('ticket').addEventListener('submit', async event => {
	event.preventDefault();
	try {
		({ key } = await fetchJson('tickets', { method: 'POST', body: new URLSearchParams(new FormData(event.target)) }));
		event.target.hidden = true;
		part('chat').hidden = false;
		look();
	} catch (error) {
		alert(error.message);
	}
});

part('message').addEventListener('submit', async event => {
	event.preventDefault();
	const { said } = event.target.elements;
	try {
		await messages({ method: 'POST', body: new URLSearchParams({ Body: said.value }) });
		said.value = '';
	} catch (error) {
		tell(`Your message was not sent: ${error.message}`);
	}
});
