// The official client's access tokens, and a standard library's reading of ours.
//
//   node access_tokens.js make SEED COUNT SECRET     a line of JSON for each token: {"arguments", "region", "header", "claims"}
//   node access_tokens.js verify SECRET              reads tokens, a line each; tells {"header", "payload"} or {"fault"}
'use strict';

const jsonwebtoken = require('jsonwebtoken');
const readline = require('readline');
const { AccessToken } = require('twilio').jwt;

const sid = letters => letters + '0'.repeat(32);

function make(seed, count, secret)
{
	const { below, oneOf, times, chance } = require('./random')(Number(seed));
	const text = () => times(5, () => oneOf('a', 'Z', '7', '-', '"', '\\', '/', '\n', '\t', '\u0001', ' ', 'é', '日', '😀', '\u2028', '<', '&', '+')).join('') || 'x';
	const maybe = make => chance(0.5) ? make() : undefined;
	const kinds = {
		chat: () => new AccessToken.ChatGrant({ serviceSid: maybe(() => sid('IS')), endpointId: maybe(text), deploymentRoleSid: maybe(() => sid('RL')), pushCredentialSid: maybe(() => sid('CR')) }),
		voice: () => new AccessToken.VoiceGrant({ incomingAllow: maybe(() => true), outgoingApplicationSid: maybe(() => sid('AP')),
			outgoingApplicationParams: maybe(() => ({ [text()]: text(), n: below(1000) / 8, list: [true, null, {}] })), pushCredentialSid: maybe(() => sid('CR')), endpointId: maybe(text) }),
		data_sync: () => new AccessToken.SyncGrant({ serviceSid: maybe(() => sid('IS')), endpointId: maybe(text) }),
		video: () => new AccessToken.VideoGrant({ room: maybe(text) }),
		task_router: () => new AccessToken.TaskRouterGrant({ workspaceSid: maybe(() => sid('WS')), workerSid: maybe(() => sid('WK')), role: maybe(() => oneOf('worker', 'supervisor')) }),
		player: () => new AccessToken.PlaybackGrant({ grant: maybe(() => ({ requestCredentials: null, playbackUrl: text(), playerStreamerSid: sid('VJ') })) })
	};

	for (let i = 0; i < Number(count); i++)
	{
		const identity = text();
		const ttl = oneOf(1, 60, 3600, 86400, 1 + below(86400));
		const region = oneOf(undefined, undefined, 'ie1', 'us1', 'au1');
		const nbf = maybe(() => below(2 ** 31));
		const token = new AccessToken(sid('AC'), sid('SK'), secret, { identity, ttl, region, nbf: nbf && Math.min(nbf, Math.floor(Date.now() / 1000)) });
		const grants = {};
		let service;

		if (chance(0.5))
		{
			service = sid('IS');
			token.addGrant(new AccessToken.ChatGrant({ serviceSid: service }));
		}
		for (const kind of Object.keys(kinds).filter(it => chance(0.4) && !(service && it === 'chat')))
		{
			const grant = kinds[kind]();

			token.addGrant(grant);
			grants[kind] = grant.toPayload();
		}
		const made = jsonwebtoken.decode(token.toJwt(), { complete: true });

		console.log(JSON.stringify({ arguments: { identity, service, grants: Object.keys(grants).length ? grants : undefined, ttl, nbf: made.payload.nbf }, region,
			header: made.header, claims: made.payload }));
	}
}

function verify(secret)
{
	readline.createInterface({ input: process.stdin }).on('line', token => {
		try
		{
			console.log(JSON.stringify(jsonwebtoken.verify(token, secret, { algorithms: ['HS256'], issuer: sid('SK'), subject: sid('AC'), complete: true })));
		}
		catch (error)
		{
			console.log(JSON.stringify({ fault: String(error) }));
		}
	});
}

const [command, ...rest] = process.argv.slice(2);

({ make, verify })[command](...rest);
