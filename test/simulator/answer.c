/*
 * answer.c
 *	  Answers, and the bodies of errors in the three shapes that the service
 *	  has, besides the two that come from proxies: HTML, and nothing at all.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"

/* Frees what the answer holds and makes it an empty one. */
void
answer_clear(Answer *answer)
{
	text_free(&answer->body);
	text_free(&answer->headers);
	*answer = (Answer){.content_type = "application/json", .cut_at = -1, .stall_after = -1};
}

/* The shape in which the endpoints under a path report errors. */
Shape
shape_of_path(const char *path)
{
	if (strncmp(path, "/v2/", 4) == 0)
		return SHAPE_PROBLEM;
	if (strncmp(path, "/v1/Interactions", 16) == 0)
		return SHAPE_THIRD;
	return SHAPE_TWILIO;
}

/* Twilio's oldest shape. */
static void
write_twilio(Text *body, int status, int code, const char *message)
{
	text_printf(body, "{\"code\":%d,\"message\":", code);
	text_add_json_string(body, message);
	text_printf(body, ",\"more_info\":\"https://www.twilio.com/docs/errors/%d\",\"status\":%d}", code, status);
}

/* The shape of RFC 9457, as the v2 endpoints have it. */
static void
write_problem(Text *body, int status, int code, const char *message, const char *path, const char *parameter)
{
	text_printf(body,
				"{\"type\":\"https://www.twilio.com/docs/errors/%d\",\"title\":\"%s\","
				"\"status\":%d,\"code\":%d,\"detail\":",
				code, MHD_get_reason_phrase_for((unsigned int) status), status, code);
	text_add_json_string(body, message);
	text_add_string(body, ",\"instance\":");
	text_add_json_string(body, path);
	text_add_string(body, ",\"errors\":[");
	if (parameter != NULL)
	{
		Text pointer = {0};

		text_printf(&pointer, "#/%s", parameter);
		text_add_string(body, "{\"detail\":");
		text_add_json_string(body, message);
		text_add_string(body, ",\"pointer\":");
		text_add_json(body, pointer.data, pointer.length);
		text_add_string(body, "}");
		text_free(&pointer);
	}
	text_add_string(body, "]}");
}

/* The shape that the Interactions endpoints have. */
static void
write_third(Text *body, int status, int code, const char *message, const char *parameter)
{
	text_printf(body, "{\"code\":%d,\"message\":", code);
	text_add_json_string(body, message);
	text_printf(body, ",\"httpStatusCode\":%d,\"params\":{", status);
	if (parameter != NULL)
	{
		text_add_string(body, "\"parameter\":");
		text_add_json_string(body, parameter);
	}
	text_printf(body, "},\"userError\":%s}", status < 500 ? "true" : "false");
}

/*
 * Makes the answer an error of that shape. The parameter to blame may be
 * NULL. Always returns false, so that a check can return what it calls.
 */
bool
answer_problem(Answer *answer, Shape shape, const char *path, int status, int code, const char *parameter,
			   const char *format, ...)
{
	char message[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	answer_clear(answer);
	answer->status = status;
	switch (shape)
	{
		case SHAPE_TWILIO:
			write_twilio(&answer->body, status, code, message);
			break;
		case SHAPE_PROBLEM:
			answer->content_type = "application/problem+json";
			write_problem(&answer->body, status, code, message, path, parameter);
			break;
		case SHAPE_THIRD:
			write_third(&answer->body, status, code, message, parameter);
			break;
		case SHAPE_HTML:
			answer->content_type = "text/html";
			text_printf(&answer->body,
						"<html>\r\n<head><title>%d</title></head>\r\n<body>\r\n"
						"<center><h1>%d %s</h1></center>\r\n"
						"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
						status, status, message);
			break;
		case SHAPE_EMPTY:
			answer->content_type = NULL;
			break;
	}
	return false;
}
