/*
 * statistics_file.h
 *		Keeps the statistics in a file across a restart of the server.
 */
#ifndef FLEX_STATISTICS_FILE_H
#define FLEX_STATISTICS_FILE_H

extern void flex_statistics_file_load(void);
extern void flex_statistics_file_save(void);

#endif /* FLEX_STATISTICS_FILE_H */
