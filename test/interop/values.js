// Values for the parameters, by name where a name says what the service will take, else by
// the documents' type, pattern or enumeration.
'use strict';

const sid = letters => letters + 'a'.repeat(32);
const SEGMENT = '02dd8a65-c9e3-550b-9e98-5b11abb9b3a5';

let serial = 0;

const byName = {
	FlexFlowSid: it => it.flow,
	AddressSid: () => sid('IG'),
	Identity: () => 'customer-17',
	PreEngagementData: () => '{"order":17}',
	PostEngagementData: () => '{"rating":5}',
	TaskAttributes: () => '{"order":17}',
	Channel: () => ({ type: 'sms', initiated_by: 'customer', properties: { media_channel_sid: sid('CH') } }),
	MediaProperties: () => ({ level: 'to', name: 'Larry', address: 'larry', type: 'email' }),
	RoutingProperties: () => ({ task_sid: sid('WT'), worker_sid: sid('WK'), reservation_sid: sid('WR') }),
	WebhookTtid: () => `flex_interactionwebhook_${'0'.repeat(26)}`,
	'Integration.RetryCount': () => 3,
	UniqueName: () => `plugin-${++serial}`,
	Version: () => `1.0.${++serial}`,
	ValidateStatus: () => 'success',
	Plugins: it => [{ plugin_version: it.version, phase: 3 }],
	ConfigurationId: it => it.configuration,
	CategorySid: it => it.category,
	QuestionSids: it => [it.question],
	QuestionnaireSid: it => it.questionnaire,
	MetricId: it => it.question,
	AnswerSetId: () => 'a6a8a54f-5305-4aec-b92c-a6e429932f58',
	SegmentId: () => SEGMENT,
	AgentId: () => '0e4a8059-18a3-5e48-9efb-29ae3213e7fe',
	ReservationId: () => [sid('WR'), sid('WR')],
	PageSize: () => 20,
	Page: () => 0,
	PageToken: () => 'PT0'
};

const routing = {
	'v1/UpdateInteractionChannel': { status: 'closed' },
	default: { properties: { workspace_sid: sid('WS'), workflow_sid: sid('WW'), queue_sid: sid('WQ'), worker_sid: sid('WK'),
		attributes: { customerName: 'Larry', priority: 1.5 } } }
};

function byType(schema)
{
	if (schema.pattern)
		return sid(schema.pattern.slice(1, 3));
	if (schema.enum)
		return schema.enum[0];
	return { boolean: true, integer: 7, number: 12.5, string: schema.format === 'uri' ? 'https://example.com/plugin.js' : 'Some text' }[schema.type];
}

// The parameters as the client takes them, all or only the required ones; paging goes by
// names of the client's own.
function parameters(name, operation, set, it)
{
	const given = {};

	for (const parameter of operation.parameters)
	{
		if (set === 'required' && !parameter.required)
			continue;
		const value = parameter.name === 'Routing' ? routing[name] ?? routing.default
			: parameter.name === 'Status' && name === 'v1/UpdateInteractionChannel' && set === 'all' ? 'inactive'
				: parameter.schema.type === 'array' && parameter.name === 'CategorySid' ? [it.category]
					: byName[parameter.name] ? byName[parameter.name](it) : byType(parameter.schema);
		given[{ Page: 'pageNumber' }[parameter.name] ?? parameter.clientName] = value;
	}
	return given;
}

// The JSON bodies of which the documents say nothing but that they are objects.
function body(name, set, it)
{
	if (name === 'v1/UpdateConfiguration')
		return set === 'required' ? { account_sid: it.account } : { ...it.configurationBody, ui_attributes: { theme: 'dark' } };
	return set === 'required' ? { type: 'warm', status: 'completed' }
		: { type: 'cold', status: 'completed', from: sid('UT'), to: sid('WW'), note_sid: sid('KQ'), summary_sid: sid('KQ') };
}

module.exports = { sid, parameters, body };
