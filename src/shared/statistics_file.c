/*
 * statistics_file.c
 *		Keeps the statistics in a file across a restart of the server.
 *
 * The postmaster writes the file when the server is shut down, and reads and removes it
 * when the server is started.  After a crash there is no file, and the statistics are lost,
 * as are those of pg_stat_statements.
 */
#include "postgres.h"

#include <unistd.h>

#include "pgstat.h"
#include "storage/fd.h"

#include "shared/statistics.h"
#include "shared/statistics_file.h"

#define FILE_NAME PGSTAT_STAT_PERMANENT_DIRECTORY "/flex_api.stat"
#define TEMPORARY_NAME FILE_NAME ".tmp"
#define MAGIC 0x464c5831 /* change this whenever StatisticsRow changes */

typedef struct Header
{
	uint32 magic;
	uint32 row_size;
	int32 rows;
} Header;

/* Return false if a row contains what no server can have written. */
static bool
is_plausible(const StatisticsRow *row)
{
	bool is_good = (unsigned) row->key.way < WAYS && memchr(row->key.operation, '\0', NAMEDATALEN) != NULL;

	for (int i = 0; i < ENDINGS; i++)
		is_good &= row->counts.endings[i] >= 0;
	return is_good;
}

/* Restore all rows of the file; return false if its contents are invalid. */
static bool
read_rows(FILE *file)
{
	Header header;

	if (fread(&header, sizeof(header), 1, file) != 1 || header.magic != MAGIC ||
		header.row_size != sizeof(StatisticsRow))
		return false;
	for (int i = 0; i < header.rows; i++)
	{
		StatisticsRow row;

		if (fread(&row, sizeof(row), 1, file) != 1 || !is_plausible(&row))
			return false;
		(void) flex_statistics_restore(&row);
	}
	return true;
}

/* Load the file into the empty table, and remove the file.  Problems are logged; no error is raised. */
void
flex_statistics_file_load(void)
{
	FILE *file;

	(void) unlink(TEMPORARY_NAME);
	file = AllocateFile(FILE_NAME, PG_BINARY_R);
	if (file == NULL)
	{
		if (errno != ENOENT)
			ereport(LOG, (errcode_for_file_access(), errmsg("could not read file \"%s\": %m", FILE_NAME)));
		return;
	}
	if (!read_rows(file))
	{
		flex_statistics_reset();
		ereport(LOG, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("ignoring invalid data in file \"%s\"", FILE_NAME)));
	}
	FreeFile(file);
	(void) unlink(FILE_NAME);
}

/* Write all rows; on failure, return false with errno set. */
static bool
write_rows(FILE *file)
{
	Header header = {.magic = MAGIC, .row_size = sizeof(StatisticsRow)};
	StatisticsRow row;

	memset(&row, 0, sizeof(row));
	for (int i = 0; i < flex_statistics_entries(); i++)
		header.rows += flex_statistics_read_alone(i, &row) ? 1 : 0;
	if (fwrite(&header, sizeof(header), 1, file) != 1)
		return false;
	for (int i = 0; i < flex_statistics_entries(); i++)
	{
		if (flex_statistics_read_alone(i, &row) && fwrite(&row, sizeof(row), 1, file) != 1)
			return false;
	}
	return true;
}

/* Write the table to the file.  No other process may be left that could change it. */
void
flex_statistics_file_save(void)
{
	FILE *file = AllocateFile(TEMPORARY_NAME, PG_BINARY_W);
	bool is_good = file != NULL && write_rows(file);

	if (file != NULL && FreeFile(file) != 0)
		is_good = false;
	if (is_good)
		(void) durable_rename(TEMPORARY_NAME, FILE_NAME, LOG);
	else
	{
		ereport(LOG, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", TEMPORARY_NAME)));
		(void) unlink(TEMPORARY_NAME);
	}
}
