// Draws the report's charts with Chart.js, from the JSON in the page.
'use strict';

const figures = JSON.parse(document.getElementById('figures').textContent);
const seconds = Math.ceil(figures.seconds);
const steps = figures.steps ?? [];
const outcomes = { succeeded: '#009e73', refused: '#e69f00', throttled: '#56b4e9', failed: '#d55e00', lost: '#000000', unsent: '#999999' };
// Okabe and Ito's colours, which people who see few of them can tell apart.
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

Chart.defaults.animation = false;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.plugins.legend.position = 'bottom';
Chart.defaults.plugins.legend.labels.boxWidth = 12;

// Steps that begin too close to each other to be told apart have one mark.
const marks = [];
for (const step of steps) {
	const last = marks.at(-1);

	if (last && step.at - last.until < seconds / 30)
		Object.assign(last, { until: step.at, label: `${last.first}–${step.number}` });
	else
		marks.push({ at: step.at, until: step.at, first: step.number, label: `${step.number}` });
}

function points(series) { return series.map(([x, y]) => ({ x, y })); }

// The seconds below, the demo's steps above.
function draw(name, datasets, y, options = {}) {
	const canvas = document.getElementById(name);

	canvas.setAttribute('role', 'img');
	canvas.setAttribute('aria-label', `${canvas.closest('section').innerText}: ${datasets.map(set => set.label).join(', ')}`);
	return new Chart(canvas, {
		data: { datasets },
		options: {
			scales: {
				x: { type: 'linear', min: 0, max: seconds, offset: false, stacked: options.stacked, title: { display: true, text: 'seconds' } },
				steps: {
					axis: 'x', type: 'linear', position: 'top', min: 0, max: seconds, offset: false,
					afterBuildTicks(axis) { axis.ticks = marks.map(mark => ({ value: mark.at })); },
					ticks: { callback: value => marks.find(mark => mark.at === value).label, maxRotation: 0, autoSkip: false },
					grid: { color: '#999' },
				},
				y: { beginAtZero: true, stacked: options.stacked, ...y },
			},
			interaction: { mode: 'x', intersect: false },
		},
	});
}

function bars(series, colourOf) {
	return Object.entries(series ?? {}).map(([label, data], index) => ({
		type: 'bar', label, data: points(data), backgroundColor: colourOf(label, index), barPercentage: 1, categoryPercentage: 1,
	}));
}

function lines(series, more = {}) {
	return Object.entries(series ?? {}).map(([label, data], index) => ({
		type: 'line', label, data: points(data), borderColor: colours[index], backgroundColor: colours[index], borderWidth: 1.5, pointRadius: 2, spanGaps: 1, ...more,
	}));
}

document.getElementById('about').textContent = `flex_api ${figures.extension} on ${figures.server}, ${figures.began}, ${figures.seconds.toFixed(1)} seconds`;
document.getElementById('steps').textContent = `Above each chart: the demo's steps. ${steps.map(step => `${step.number} ${step.title}`).join(' · ')}`;
draw('throughput', bars(Object.fromEntries(Object.keys(outcomes).map(how => [how, figures.charts.ends[how]])), how => outcomes[how]), {}, { stacked: true });
draw('latency', lines(figures.charts.latency), { type: 'logarithmic', beginAtZero: false });
draw('retries', bars(figures.charts.repeats, (label, index) => colours[index]), {}, { stacked: true });
draw('rates', [
	...lines(figures.charts.learned, { stepped: true, pointRadius: 0 }).map(set => ({ ...set, label: `${set.label}: learned` })),
	...bars(figures.charts.carried_out, (label, index) => colours[index] + '55').map(set => ({ ...set, label: `${set.label}: carried out` })),
], {});

for (const row of figures.operations ?? []) {
	const line = document.getElementById('operations').insertRow();

	for (const name of ['operation', 'way', 'requests', 'succeeded', 'refused', 'throttled', 'failed', 'lost', 'repeats', 'p50', 'p95', 'p99'])
		line.insertCell().textContent = name[0] === 'p' ? row[name]?.toFixed(1) ?? '' : row[name];
}
