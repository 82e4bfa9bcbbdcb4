/*
 * setting_hints.h
 *		Tells which setting was probably meant where SET is refused.
 */
#ifndef FLEX_SETTING_HINTS_H
#define FLEX_SETTING_HINTS_H

extern void flex_setting_hints_install(void);

#endif /* FLEX_SETTING_HINTS_H */
