/*
 * setting_hints.h
 *		Adds a hint to the error for a misspelled setting.
 */
#ifndef FLEX_SETTING_HINTS_H
#define FLEX_SETTING_HINTS_H

extern void flex_setting_hints_install(void);

#endif /* FLEX_SETTING_HINTS_H */
