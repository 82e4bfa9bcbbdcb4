/*
 * statistics_file.c
 *		The file that keeps the statistics over a restart of the server.
 *
 * Written by the postmaster when the server is shut down, and read and removed when it
 * starts: after a crash there is none, and counting begins anew.  So does pg_stat_statements.
 */
#include "postgres.h"

#include <unistd.h>

#include "pgstat.h"
#include "storage/fd.h"

#include "shared/statistics.h"
#include "shared/statistics_file.h"

#define FILE_NAME PGSTAT_STAT_PERMANENT_DIRECTORY "/flex_api.stat"
#define TEMPORARY_NAME FILE_NAME ".tmp"
#define MAGIC 0x464c5831 /* to be changed with StatisticsRow */

typedef struct Header
{
	uint32 magic;
	uint32 row_size;
	int32 rows;
} Header;

/* False for a row that no server has written. */
static bool
is_plausible(const StatisticsRow *row)
{
	bool is_good = (unsigned) row->key.way < WAYS && memchr(row->key.operation, '\0', NAMEDATALEN) != NULL;

	for (int i = 0; i < ENDINGS; i++)
		is_good &= row->counts.endings[i] >= 0;
	return is_good;
}

/* Read all rows; false when the file is not what it should be. */
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

/* Put what the last server has counted into the table, which is empty, and remove the file. */
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

/* Write all rows; false with errno. */
static bool
write_rows(FILE *file)
{
	Header header = {.magic = MAGIC, .row_size = sizeof(StatisticsRow)};
	StatisticsRow row;

	memset(&row, 0, sizeof(row));
	for (int i = 0; i < flex_statistics_capacity(); i++)
		header.rows += flex_statistics_read_alone(i, &row) ? 1 : 0;
	if (fwrite(&header, sizeof(header), 1, file) != 1)
		return false;
	for (int i = 0; i < flex_statistics_capacity(); i++)
	{
		if (flex_statistics_read_alone(i, &row) && fwrite(&row, sizeof(row), 1, file) != 1)
			return false;
	}
	return true;
}

/* Write the table to the file, when no other process is left that could change it. */
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
