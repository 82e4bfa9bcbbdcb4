// Skills united by name with lodash, an array being a value: a line of JSON for each case, {"old", "new", "united"}.
//
//   node skills.js SEED COUNT
'use strict';

const _ = require('lodash');

const [seed, count] = process.argv.slice(2).map(Number);
const { below, oneOf, times } = require('./random')(seed);

const text = () => times(4, () => oneOf('a', 'Z', '7', '"', '\\', ' ', 'é', '😀', '\n')).join('');
const scalar = () => oneOf(text(), below(1000) / 8, true, false);
const value = depth => depth === 0 ? scalar() : oneOf(scalar, () => times(3, () => value(depth - 1)),
	() => Object.fromEntries(times(3, () => [oneOf('multivalue', 'minimum', 'x', text()), value(depth - 1)])))();
const skill = name => ({ ...Object.fromEntries(times(3, () => [oneOf('multivalue', 'minimum', 'maximum', 'x', text()), value(2)])), name });
const names = ['french', 'german', 'billing', 'été', '"', 'a'];
const skills = () => names.filter(() => below(2)).sort(() => below(3) - 1).map(skill);

for (let i = 0; i < count; i++)
{
	const [old, added] = [skills(), skills()];
	const united = _.values(_.mergeWith(_.cloneDeep(_.keyBy(old, 'name')), _.keyBy(added, 'name'),
		(left, right) => Array.isArray(left) || Array.isArray(right) ? right : undefined));

	console.log(JSON.stringify({ old, new: added, united }));
}
