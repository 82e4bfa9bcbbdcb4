/*
 * effective.h
 *		The values of settings that apply to a call.
 */
#ifndef FLEX_EFFECTIVE_H
#define FLEX_EFFECTIVE_H

#include "base/settings.h"

/* The arguments are addresses of members of flex_settings.  A string is valid until a setting changes. */
extern const char *flex_effective_string(char *const *variable);
extern int flex_effective_integer(const int *variable);

extern bool flex_effective_is(const int *variable, int value, const char *name);
extern void flex_effective_check_known(void);

extern bool flex_effective_is_of_session(const void *variable);
extern void flex_effective_act_for_another(bool another);
extern void flex_effective_check_displaced(void);

/* For _PG_init(): the first before, the second after the definition of all parameters. */
extern void flex_effective_note_placeholders(void);
extern void flex_effective_note_parameters(void);

#endif /* FLEX_EFFECTIVE_H */
