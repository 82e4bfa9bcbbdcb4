/*
 * pages.c
 *	  Pages for a browser, under /simulator: the files of pages/, which are
 *	  part of the program, and the OpenAPI document that one of them shows.
 */
#include <string.h>

#include "openapi.h"
#include "pages.h"

#define PREFIX "/simulator"

/* Makes the bytes of a file part of the program, as name_start up to name_end. */
#define INCLUDE_FILE(name, file)                                                                                       \
	__asm__(".section .rodata\n" #name "_start:\n.incbin \"" file "\"\n" #name "_end:\n.byte 0\n.previous\n");         \
	extern const char name##_start[];                                                                                  \
	extern const char name##_end[]

INCLUDE_FILE(page_html, "pages/simulator.html");
INCLUDE_FILE(page_script, "pages/simulator.js");
INCLUDE_FILE(page_style, "pages/simulator.css");
INCLUDE_FILE(openapi_html, "pages/openapi.html");
INCLUDE_FILE(openapi_script, "pages/openapi.js");

typedef struct Page
{
	const char *path; /* behind the prefix */
	const char *content_type;
	const char *start;
	const char *end;
} Page;

static const Page pages[] = {
	{"", "text/html; charset=utf-8", page_html_start, page_html_end},
	{"/", "text/html; charset=utf-8", page_html_start, page_html_end},
	{"/simulator.js", "text/javascript; charset=utf-8", page_script_start, page_script_end},
	{"/simulator.css", "text/css; charset=utf-8", page_style_start, page_style_end},
	{"/openapi", "text/html; charset=utf-8", openapi_html_start, openapi_html_end},
	{"/openapi.js", "text/javascript; charset=utf-8", openapi_script_start, openapi_script_end},
};

/* Whether a request is for a page, and not for the API. */
bool
is_page(const Request *request)
{
	size_t length = strlen(PREFIX);

	return strncmp(request->path, PREFIX, length) == 0 &&
		   (request->path[length] == '\0' || request->path[length] == '/');
}

/* Answers with a page. */
void
serve_page(Request *request)
{
	const char *path = request->path + strlen(PREFIX);
	Answer *answer = &request->answer;

	answer->status = 200;
	/* Nothing comes from elsewhere, and no page is shown within another. */
	text_add_string(&answer->headers,
					"Content-Security-Policy: default-src 'self'; img-src data:; frame-ancestors 'none'\n"
					"X-Content-Type-Options: nosniff\nCache-Control: no-store\n");
	if (strcmp(request->method, "GET") != 0)
	{
		answer->status = 405;
		answer->content_type = NULL;
		return;
	}
	if (strcmp(path, "/openapi.json") == 0)
	{
		openapi_write(&answer->body, request->base);
		return;
	}
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (strcmp(pages[i].path, path) == 0)
		{
			answer->content_type = pages[i].content_type;
			text_add(&answer->body, pages[i].start, (size_t) (pages[i].end - pages[i].start));
			return;
		}
	answer->status = 404;
	answer->content_type = "text/plain";
	text_add_string(&answer->body, "There are /simulator, /simulator/openapi and /simulator/openapi.json.\n");
}
