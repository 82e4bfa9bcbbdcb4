/*
 * mending.h
 *		Notices that an operator may have mended what keeps requests from being made.
 */
#ifndef FLEX_MENDING_H
#define FLEX_MENDING_H

extern void flex_mending_begin(void);
extern void flex_mending_await(const ErrorData *error);
extern void flex_mending_expect(void);
extern long flex_mending_look_ms(void);
extern bool flex_mending_is_noticed(void);
extern bool flex_mending_take_notice(void);

#endif /* FLEX_MENDING_H */
