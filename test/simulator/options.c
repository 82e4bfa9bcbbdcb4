/*
 * options.c
 *	  Reads the command line. An option is a row of a table, which also says
 *	  what --help says of it; what is wrong is told in one line.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "text.h"

#define ZEROS "00000000000000000000000000000000"
#define DEFAULT_LISTEN "127.0.0.1:8080"

Options options = {
	.address = "127.0.0.1",
	.threads = 1,
	.account = "AC" ZEROS,
	.token = "test-token",
	.key = "SK" ZEROS,
	.secret = "test-secret",
	.setup_ms = 300,
	.record = true,
};

typedef enum OptionType
{
	OPTION_TEXT,
	OPTION_NUMBER,
	OPTION_FLAG,
	OPTION_LISTEN,
	OPTION_HELP
} OptionType;

typedef struct Option
{
	const char *name;
	OptionType type;
	void *place; /* const char *, int64_t, or bool */
	int64_t least;
	int64_t most;
	const char *value; /* what --help calls it */
	const char *help;
} Option;

static const Option table[] = {
	{"listen", OPTION_LISTEN, NULL, 0, 0, "[ADDRESS:]PORT", "where to serve; " DEFAULT_LISTEN " if no value is given"},
	{"port", OPTION_NUMBER, &options.port, 0, 65535, "N", "the port on 127.0.0.1; 0, the default, is any free one"},
	{"accounts", OPTION_TEXT, &options.accounts, 0, 0, "FILE", "accounts with credentials of their own (JSON)"},
	{"account", OPTION_TEXT, &options.account, 0, 0, "AC..", "the account where there is no such file"},
	{"token", OPTION_TEXT, &options.token, 0, 0, "T", "its auth token"},
	{"key", OPTION_TEXT, &options.key, 0, 0, "SK..", "its API key"},
	{"secret", OPTION_TEXT, &options.secret, 0, 0, "S", "the key's secret"},
	{"load", OPTION_TEXT, &options.load, 0, 0, "FILE", "what there is at the start (JSON)"},
	{"save", OPTION_TEXT, &options.save, 0, 0, "FILE", "where what there is then is written at the end"},
	{"setup-ms", OPTION_NUMBER, &options.setup_ms, 0, INT_MAX, "N", "how long an interaction's channel is set up"},
	{"journal", OPTION_TEXT, &options.journal, 0, 0, "FILE", "a line is appended to it for each request"},
	{"tls-cert", OPTION_TEXT, &options.tls_cert, 0, 0, "FILE", "certificate (PEM); serves https"},
	{"tls-key", OPTION_TEXT, &options.tls_key, 0, 0, "FILE", "the certificate's key (PEM)"},
	{"facts", OPTION_TEXT, &options.facts, 0, 0, "DIR",
	 "tables of the published documents; ../facts beside the program"},
	{"webhooks-anywhere", OPTION_FLAG, &options.webhooks_anywhere, 0, 0, NULL, "webhooks may lead out of this machine"},
	{"threads", OPTION_NUMBER, &options.threads, 1, 1000, "N", "threads that serve"},
	{"until-stdin-closes", OPTION_FLAG, &options.until_stdin_closes, 0, 0, NULL,
	 "ends when standard input is closed, too"},
	{"help", OPTION_HELP, NULL, 0, 0, NULL, "prints this and ends"},
};

#define OPTION_COUNT ((int) (sizeof(table) / sizeof(table[0])))

/* Says what is wrong. Always returns false. */
static bool __attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
	va_list arguments;

	fputs("flex_simulator: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs(" (--help shows the options)\n", stderr);
	return false;
}

/* Prints the options. */
static void
print_help(void)
{
	puts("usage: flex_simulator [OPTION ...]\nA local Flex API. Options:");
	for (int i = 0; i < OPTION_COUNT; i++)
	{
		char left[64];

		snprintf(left, sizeof(left), "--%s %s", table[i].name, table[i].value ? table[i].value : "");
		printf("  %-26s%s\n", left, table[i].help);
	}
}

/* A file's name, given from the program's own directory. */
static char *
beside_program(const char *name)
{
	char program[4096];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	Text path = {0};

	program[length > 0 ? length : 0] = '\0';
	text_printf(&path, "%s/%s", dirname(program), name);
	return text_take(&path);
}

/* Reads a whole number within bounds. */
static bool
read_number(const char *text, int64_t least, int64_t most, int64_t *number)
{
	char *end;

	assert(text != NULL);
	errno = 0;
	*number = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && *number >= least && *number <= most;
}

/* Takes ADDRESS:PORT, or PORT, over. */
static bool
take_listen(const char *value)
{
	char *address = must_copy(value ? value : DEFAULT_LISTEN);
	char *colon = strrchr(address, ':');
	struct in_addr parsed;

	if (colon != NULL)
	{
		*colon = '\0';
		options.address = strcmp(address, "localhost") == 0 ? "127.0.0.1" : address;
	}
	if (inet_pton(AF_INET, options.address, &parsed) != 1)
		return complain("--listen takes an IPv4 address and a port, such as %s, not \"%s\"", DEFAULT_LISTEN, value);
	if (!read_number(colon ? colon + 1 : address, 0, 65535, &options.port))
		return complain("--listen takes a port from 0 to 65535, not \"%s\"", colon ? colon + 1 : address);
	return true;
}

/* Takes one option over. */
static bool
take(const Option *option, const char *value)
{
	int64_t number;

	switch (option->type)
	{
		case OPTION_TEXT:
			*(const char **) option->place = value;
			return true;
		case OPTION_NUMBER:
			if (!read_number(value, option->least, option->most, &number))
				return complain("--%s takes a number from %lld to %lld, not \"%s\"", option->name,
								(long long) option->least, (long long) option->most, value);
			*(int64_t *) option->place = number;
			return true;
		case OPTION_FLAG:
			*(bool *) option->place = true;
			return true;
		case OPTION_LISTEN:
			return take_listen(value);
		case OPTION_HELP:
			print_help();
			exit(EXIT_SUCCESS);
	}
	return false;
}

/* The table as getopt_long wants it: what it returns is the row's number, from 1. */
static void
describe_options(struct option names[OPTION_COUNT + 1])
{
	memset(names, 0, sizeof(struct option) * (OPTION_COUNT + 1));
	for (int i = 0; i < OPTION_COUNT; i++)
		names[i] = (struct option){.name = table[i].name,
								   .has_arg = table[i].type == OPTION_LISTEN ? optional_argument
											  : table[i].value != NULL       ? required_argument
																			 : no_argument,
								   .val = i + 1};
}

/* Reads the options; false, with a message, if one is not right. */
static bool
read_options(int count, char **arguments)
{
	struct option names[OPTION_COUNT + 1];
	int number;

	describe_options(names);
	opterr = 0;
	while ((number = getopt_long(count, arguments, "+:", names, NULL)) != -1)
	{
		const Option *option = number <= OPTION_COUNT ? &table[number - 1] : NULL;

		if (number == ':')
			return complain("%s needs a value", arguments[optind - 1]);
		if (number == '?' && optopt > 0 && optopt <= OPTION_COUNT)
			return complain("--%s takes no value", table[optopt - 1].name);
		if (option == NULL)
			return complain("there is no option %s", arguments[optind - 1]);
		/* getopt takes an optional value only behind "=". */
		if (option->type == OPTION_LISTEN && optarg == NULL && optind < count && arguments[optind][0] != '-')
			optarg = arguments[optind++];
		if (!take(option, optarg))
			return false;
	}
	if (optind < count)
		return complain("\"%s\" is no option", arguments[optind]);
	return true;
}

/* Reads the command line; false, with a message, if it is not right. */
bool
options_read(int count, char **arguments)
{
	options.facts = beside_program("../facts");
	options.samples = beside_program("samples.json");
	if (!read_options(count, arguments))
		return false;
	if ((options.tls_cert == NULL) != (options.tls_key == NULL))
		return complain("--tls-cert and --tls-key are needed both");
	return true;
}
