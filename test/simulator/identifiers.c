/*
 * identifiers.c
 *	  SIDs, request ids, and a clock to measure with.
 *
 * A SID is a counter sent through a one-to-one mixing of bits: it looks
 * random and cannot repeat. The key is drawn at start, so that two runs do
 * not hand out the same SIDs and a stale one is noticed.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "identifiers.h"

static _Atomic uint64_t counter;
static uint64_t key;

/* Draws the key of this run. */
void
identifiers_start(void)
{
	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		key = (uint64_t) now_us();
}

/* The finaliser of splitmix64: one-to-one, and every bit depends on all. */
uint64_t
mix_bits(uint64_t value)
{
	value += UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

/* Writes 16 hexadecimal digits. */
static void
write_hex(char *place, uint64_t value)
{
	for (int i = 15; i >= 0; i--, value >>= 4)
		place[i] = "0123456789abcdef"[value & 15];
}

/* Makes a new SID of that prefix (two letters). */
void
make_sid(const char *prefix, char sid[SID_LENGTH + 1])
{
	uint64_t number = atomic_fetch_add(&counter, 1) ^ key;

	memcpy(sid, prefix, 2);
	write_hex(sid + 2, mix_bits(number));
	write_hex(sid + 18, mix_bits(number ^ UINT64_C(0x5555555555555555)));
	sid[SID_LENGTH] = '\0';
}

/* Microseconds of a clock that never jumps. */
int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
