/*
 * shutdown.h
 *		How long a background worker may go on after SIGTERM.
 */
#ifndef FLEX_SHUTDOWN_H
#define FLEX_SHUTDOWN_H

extern void flex_shutdown_note(void);
extern bool flex_shutdown_is_asked(void);
extern long flex_shutdown_grace_ms(int most_ms);

#endif /* FLEX_SHUTDOWN_H */
