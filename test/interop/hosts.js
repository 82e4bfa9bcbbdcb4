// The hosts that the official client asks for the products named, a line of JSON for each place.
//
//   node hosts.js PRODUCT,... EDGE/REGION ...       {"product", "edge", "region", "host"}; - is none
'use strict';

const twilio = require('twilio');

const [products, ...places] = process.argv.slice(2);
const none = text => text === '-' ? undefined : text;

for (const place of places)
{
	const [edge, region] = place.split('/').map(none);

	for (const product of products.split(','))
	{
		const httpClient = { request: options => console.log(JSON.stringify({ product, edge, region, host: new URL(options.uri).hostname })) };
		const client = twilio(`AC${'0'.repeat(32)}`, 'token', { httpClient, edge, region });
		const property = product.replace(/-(.)/g, (whole, letter) => letter.toUpperCase());

		client[property].request({ method: 'GET', uri: '/v1/X' });
	}
}
