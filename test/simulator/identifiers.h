/*
 * identifiers.h
 *	  SIDs, request ids, and a clock to measure with.
 */
#ifndef SIMULATOR_IDENTIFIERS_H
#define SIMULATOR_IDENTIFIERS_H

#include <stdint.h>

#define SID_LENGTH 34
#define DATE_LENGTH 20

extern void identifiers_start(void);
extern void make_sid(const char *prefix, char sid[SID_LENGTH + 1]);
extern uint64_t mix_bits(uint64_t value);
extern int64_t now_us(void);

#endif
