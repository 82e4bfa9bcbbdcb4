/*
 * callback_argument.h
 *		Looks up the callback that an argument names.
 */
#ifndef FLEX_CALLBACK_ARGUMENT_H
#define FLEX_CALLBACK_ARGUMENT_H

extern void flex_check_execute(Oid function);
extern char *flex_callback_argument(const char *asker, const char *argument, const char *name, Oid *owner);

#endif /* FLEX_CALLBACK_ARGUMENT_H */
