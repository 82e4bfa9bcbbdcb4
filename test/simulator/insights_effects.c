/*
 * insights_effects.c
 *	  What happens besides in Insights: the objects within questions,
 *	  questionnaires, assessments and comments, put together from what was
 *	  sent as the documents' examples show them.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "checks.h"
#include "documents.h"
#include "effects.h"
#include "json_text.h"

#define QUALITY "/v1/Insights/QualityManagement/"

/* A parameter of the form as a JSON string, or null. */
static json_object *
sent_text(const Change *change, const char *name)
{
	const Pair *pair = request_pair(change->request, name, false);

	return pair ? json_object_new_string_len(pair->value, (int) pair->length) : NULL;
}

/* The category that a question names must exist; it is shown with its name. */
static bool
set_category(Change *change)
{
	const Pair *pair = request_pair(change->request, "CategorySid", false);
	Resource *resource;
	json_object *members;
	json_object *category;

	if (pair == NULL)
		return true;
	resource =
		store_find(store_list(change->request->account, kinds_of_shape(QUALITY "Categories"), NULL), pair->value);
	if (resource == NULL)
		return refuse(change->request, 400, 20001, "CategorySid", "Category %s not found", pair->value);
	members = store_members(resource);
	category = json_object_new_object();
	json_object_object_add(category, "category_name", json_object_get(json_member(members, "name")));
	json_object_object_add(category, "category_sid", json_object_new_string(pair->value));
	json_object_object_add(change->members, "category", category);
	json_object_put(members);
	return true;
}

/* A question shows its category and the set of answers that it takes. */
bool
describe_question(Change *change)
{
	const char *id = json_text_member(change->members, "answer_set_id");
	json_object *settings = document_members(change->request->account, QUALITY "Settings/AnswerSets");
	json_object *sets = json_member(settings, "answer_sets");

	for (size_t i = 0; id != NULL && sets != NULL && i < json_object_array_length(sets); i++)
	{
		json_object *set = json_object_array_get_idx(sets, i);

		if (strcmp(json_text_member(set, "id"), id) == 0)
			json_object_object_add(change->members, "answer_set", json_object_get(set));
	}
	json_object_put(settings);
	return set_category(change);
}

/* A questionnaire shows its questions, which must exist. */
bool
collect_questions(Change *change)
{
	static const char *const hidden[] = {"account_sid", "url", "answer_set"};
	const Request *request = change->request;
	List *all = store_list(request->account, kinds_of_shape(QUALITY "Questions"), NULL);
	json_object *questions = NULL;

	for (size_t i = 0; i < request->pair_count; i++)
	{
		const Pair *pair = &request->pairs[i];
		Resource *resource;
		json_object *question;

		if (strcmp(pair->name, "QuestionSids") != 0)
			continue;
		if (questions == NULL)
			questions = json_object_new_array();
		resource = store_find(all, pair->value);
		if (resource == NULL)
		{
			json_object_put(questions);
			return refuse(change->request, 400, 20001, "QuestionSids", "Question %s not found", pair->value);
		}
		question = store_members(resource);
		for (int j = 0; j < 3; j++)
			json_object_object_del(question, hidden[j]);
		json_object_array_add(questions, question);
	}
	if (questions != NULL)
		json_object_object_add(change->members, "questions", questions);
	return true;
}

/* Sets the time in milliseconds, a string as the documents' examples have it. */
static void
stamp(Change *change)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long) clock_us() / 1000);
	json_object_object_add(change->members, "timestamp", json_object_new_string(text));
}

/* The name of a questionnaire, or null. */
static json_object *
questionnaire_name(Account *account, const char *sid)
{
	Resource *resource = store_find(store_list(account, kinds_of_shape(QUALITY "Questionnaires"), NULL), sid);
	json_object *members = resource ? store_members(resource) : NULL;
	json_object *name = json_object_get(json_member(members, "name"));

	json_object_put(members);
	return name;
}

/* An assessment shows questionnaire, question and category, one in the other. */
bool
describe_assessment(Change *change)
{
	json_object *category = json_object_new_object();
	json_object *question = json_object_new_object();
	json_object *questionnaire = json_object_new_object();
	json_object *assessment = json_object_new_object();

	json_object_object_add(category, "category_sid", sent_text(change, "CategorySid"));
	json_object_object_add(category, "name", sent_text(change, "CategoryName"));
	json_object_object_add(question, "question_sid", sent_text(change, "MetricId"));
	json_object_object_add(question, "name", sent_text(change, "MetricName"));
	json_object_object_add(question, "category", category);
	json_object_object_add(questionnaire, "questionnaire_sid", sent_text(change, "QuestionnaireSid"));
	json_object_object_add(
		questionnaire, "name",
		questionnaire_name(change->request->account, request_pair(change->request, "QuestionnaireSid", false)->value));
	json_object_object_add(questionnaire, "question", question);
	json_object_object_add(assessment, "questionnaire", questionnaire);
	json_object_object_add(change->members, "assessment", assessment);
	stamp(change);
	return true;
}

/* A comment is shown within its category. */
bool
describe_comment(Change *change)
{
	json_object *category = json_object_new_object();
	json_object *comment = json_object_new_object();

	json_object_object_add(category, "category_id", sent_text(change, "CategoryId"));
	json_object_object_add(category, "name", sent_text(change, "CategoryName"));
	json_object_object_add(comment, "comment", sent_text(change, "Comment"));
	json_object_object_add(comment, "category", category);
	json_object_object_add(change->members, "comment", comment);
	stamp(change);
	return true;
}
