// The official client's verdict on generated webhooks.
//
//   node webhooks.js SEED FORMS BODIES
//
// It prints a line of JSON for each: {"url", "parameters" | "body" (base64), "signature", "signed",
// "verdict"}.  "signed" tells how the case was made.  Where the client throws, its verdict is false.
'use strict';

const crypto = require('crypto');
const querystring = require('querystring');
const { validateRequest, validateRequestWithBody, getExpectedTwilioSignature } = require('twilio/lib/webhooks/webhooks');

const [seed, forms, bodies, token] = process.argv.slice(2);
const { below, oneOf, times, chance } = require('./random')(Number(seed));

const pieces = () => oneOf('a', 'b', 'Z', '0', '7', '42', '~', '-', '_', '.', '!', "'", '(', '*', '+', ' ', '%20', '%27', '%2B', '%C3%A9', '%c3%a9',
	'%', '%4', '%zz', '%FF', '%00', '%E2%82', '%25', 'é', 'ß', '日本', '😀', '\u{10ffff}', '\uffee', '\ufb00', '"', '<', '>', '`', '{', '}', '|', '^', '[', ']', '@', ':', ';', ',', '$');
const text = most => times(most, pieces).join('');

function path()
{
	return oneOf('', '/', '', times(4, () => '/' + oneOf(text(4), text(2), '.', '..', '%2e', '.%2E', '')).join('') + oneOf('', '/'));
}

function query()
{
	const names = ['a', 'b', 'foo', '1', '0', '10', '01', '4294967295', 'é', ''];
	const pairs = times(5, () => oneOf(oneOf(...names), text(3)) + oneOf('=', '=', '=', '') + oneOf('', text(4), text(2)));

	return oneOf('', '?', '?' + pairs.join(oneOf('&', '&', '&&')), '?' + pairs.join('&'));
}

const authority = () => oneOf('', '', '', '', 'user:pass@', 'u@', ':@', "u:p'; w@", 'u:é@') +
	oneOf('example.com', 'hooks.example.com', 'EXAMPLE.com', 'a-b.example', 'localhost', '127.0.0.1', '[::1]', 'a.', 'x1') +
	oneOf('', '', '', ':443', ':80', ':8443', ':0443', ':', ':65535');
const url = () => oneOf('https://', 'https://', 'http://', 'HTTPS://') + authority() + path() + query() + oneOf('', '', '', '', '#', '#x?y=1');

const values = () => oneOf('', 'x', text(6), text(2), '+14158675309', 'a b&c=d');
const list = () => { const made = times(4, values); return chance(0.5) ? made.concat(made) : made; };
const parameters = () => Object.fromEntries(times(8, () => [oneOf('From', 'To', 'Body', 'from', 'B', text(3), text(1)), chance(0.2) ? list() : values()])
	.filter(([name]) => name !== '__proto__'));

const withoutPort = it => it.replace(/^([a-z+]+:\/\/(?:[^/?#]*@)?(?:\[[^\]]*\]|[^/?#:@]*))(:[^/?#]*)?/i, '$1');
const withPort = it => it.replace(/^([a-z+]+:\/\/(?:[^/?#]*@)?(?:\[[^\]]*\]|[^/?#:@]*))(?=[/?#]|$)/i, (found) => found + (/^https/i.test(found) ? ':443' : ':80'));
const standard = it => { try { return new URL(it).toString(); } catch { return it; } };
const legacy = it => it.includes('?') ? it.split('?', 1)[0] + '?' + querystring.stringify(querystring.parse(it.slice(it.indexOf('?') + 1))) : it;

const ways = {
	'as it is': it => it, 'without its port': withoutPort, 'with a port': withPort, standard, 'standard without port': it => withoutPort(standard(it)),
	'standard with port': it => withPort(standard(it)), 'query anew': it => legacy(withoutPort(standard(it))), 'query anew, with port': it => legacy(withPort(standard(it))),
	'query of what came': legacy, 'decoded': it => { try { return decodeURI(it); } catch { return it; } }, 'another port': it => withoutPort(it).replace(/^(\w+:\/\/[^/?#]*)/, '$1:8080'),
	'more': it => it + 'x', 'small letters': it => it.toLowerCase()
};

// Something that makes a good signature bad, mostly.
const spoil = it => oneOf(it.slice(1), it + '=', it.toLowerCase(), '', it.replace(/.$/, ''), ' ' + it, it.replace(/^./, c => c === 'A' ? 'B' : 'A'));
const verdict = judge => { try { return judge(); } catch { return false; } };

for (let i = 0; i < Number(forms); i++)
{
	const told = url();
	const way = oneOf(...Object.keys(ways));
	const given = parameters();
	const others = chance(0.1) ? parameters() : given;
	const key = chance(0.1) ? oneOf('other', token + 'x', token.slice(1)) : token;
	const good = getExpectedTwilioSignature(key, ways[way](told), others);
	const signature = chance(0.1) ? spoil(good) : good;

	console.log(JSON.stringify({ url: told, parameters: given, signature, signed: way, verdict: verdict(() => validateRequest(token, signature, told, given)) }));
}
for (let i = 0; i < Number(bodies); i++)
{
	const body = oneOf('', '{}', JSON.stringify(parameters()), text(20));
	const hash = crypto.createHash('sha256').update(body, 'utf8').digest('hex');
	const base = url().replace(/[?#].*/s, '') + '?' + times(2, () => `${text(2)}=${text(2)}`).join('&');
	const told = base + oneOf('&', '&', '') + oneOf(`bodySHA256=${hash}`, `bodySHA256=${hash}`, `bodySHA256=${hash}`, `bodySHA256=${hash.toUpperCase()}`, `body%53HA256=${hash}`,
		`bodySHA256=&bodySHA256=${hash}`, `bodySHA256=${hash}&bodySHA256=x`, `bodysha256=${hash}`, `bodySHA256=%20${hash}`, `bodySHA256=${hash.replace(/^./, '%3' + hash[0])}`, '', `#&bodySHA256=${hash}`);
	const way = oneOf(...Object.keys(ways), 'as it is', 'as it is', 'as it is');
	const good = getExpectedTwilioSignature(token, ways[way](told), {});
	const signature = chance(0.1) ? spoil(good) : good;
	const came = chance(0.1) ? body + ' ' : body;

	console.log(JSON.stringify({ url: told, body: Buffer.from(came).toString('base64'), signature, signed: way,
		verdict: verdict(() => validateRequestWithBody(token, signature, told, came)) }));
}
