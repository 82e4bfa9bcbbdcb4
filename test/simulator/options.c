/*
 * options.c
 *	  Reads the command line.
 */
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "text.h"

#define ZEROS "00000000000000000000000000000000"

Options options = {
	.threads = 1,
	.account = "AC" ZEROS,
	.token = "test-token",
	.key = "SK" ZEROS,
	.secret = "test-secret",
	.setup_ms = 300,
	.record = true,
};

static const struct option names[] = {
	{"port", required_argument, NULL, 'p'},
	{"tls-cert", required_argument, NULL, 'c'},
	{"tls-key", required_argument, NULL, 'y'},
	{"facts", required_argument, NULL, 'f'},
	{"account", required_argument, NULL, 'a'},
	{"token", required_argument, NULL, 't'},
	{"key", required_argument, NULL, 'k'},
	{"secret", required_argument, NULL, 's'},
	{"journal", required_argument, NULL, 'j'},
	{"setup-ms", required_argument, NULL, 'm'},
	{"threads", required_argument, NULL, 'n'},
	{"until-stdin-closes", no_argument, NULL, 'u'},
	{"help", no_argument, NULL, 'h'}, /* ends the program */
	{NULL, 0, NULL, 0},
};

static const char usage[] = "usage: flex_simulator [--port N] [--tls-cert FILE --tls-key FILE] [--facts DIR]\n"
							"  [--account AC..] [--token T] [--key SK..] [--secret S] [--journal FILE]\n"
							"  [--setup-ms N] [--threads N] [--until-stdin-closes] [--help]\n";

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

/* Takes one option over. */
static bool
take(int option, const char *value)
{
	switch (option)
	{
		case 'p':
			options.port = atoi(value);
			return true;
		case 'c':
			options.tls_cert = value;
			return true;
		case 'y':
			options.tls_key = value;
			return true;
		case 'f':
			options.facts = value;
			return true;
		case 'a':
			options.account = value;
			return true;
		case 't':
			options.token = value;
			return true;
		case 'k':
			options.key = value;
			return true;
		case 's':
			options.secret = value;
			return true;
		case 'j':
			options.journal = value;
			return true;
		case 'm':
			options.setup_ms = atoll(value);
			return true;
		case 'n':
			options.threads = (unsigned int) atoi(value);
			return true;
		case 'u':
			options.until_stdin_closes = true;
			return true;
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
	}
	return false;
}

/* Reads the command line; false, with a message, if it is not right. */
bool
options_read(int count, char **arguments)
{
	int option;

	options.facts = beside_program("../facts");
	options.samples = beside_program("samples.json");
	while ((option = getopt_long(count, arguments, "", names, NULL)) != -1)
		if (!take(option, optarg))
			return false;
	if (optind < count || (options.tls_cert == NULL) != (options.tls_key == NULL) || options.threads < 1)
	{
		fputs(usage, stderr);
		return false;
	}
	return true;
}
