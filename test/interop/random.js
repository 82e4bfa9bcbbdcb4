// Random choices that a seed repeats.
'use strict';

module.exports = seed => {
	let state = seed >>> 0;

	// mulberry32
	const number = () => {
		state = (state + 0x6D2B79F5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);

		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
	const below = limit => Math.floor(number() * limit);
	const oneOf = (...choices) => choices[below(choices.length)];
	const times = (most, make) => Array.from({ length: below(most + 1) }, make);

	return { below, oneOf, times, chance: share => number() < share };
};
