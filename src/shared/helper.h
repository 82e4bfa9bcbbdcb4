/*
 * helper.h
 *		Background workers that a process starts for itself.
 */
#ifndef FLEX_HELPER_H
#define FLEX_HELPER_H

#include "postmaster/bgworker.h"

/* For the process that starts a helper. */
typedef struct Helper Helper;

extern void flex_helper_describe(BackgroundWorker *worker, const char *name, const char *type, const char *function);
extern int flex_helper_free_slots(void);
extern Helper *flex_helper_start(const BackgroundWorker *worker, const void *share, Size size);
extern void *flex_helper_share(const Helper *helper);
extern void flex_helper_wake(const Helper *helper);
extern bool flex_helper_has_ended(Helper *helper);
extern ErrorData *flex_helper_error(const Helper *helper);
extern void flex_helper_end(Helper *helper, long patience_ms);

/* For the helper's own process. */
extern void *flex_helper_attach(Datum argument);
extern void flex_helper_wake_starter(void);
extern bool flex_helper_must_end(void);

/* For any background worker of this library. */
extern void flex_helper_check_server(void);

#endif /* FLEX_HELPER_H */
