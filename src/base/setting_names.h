/*
 * setting_names.h
 *		Hints for misspelled names of settings.
 */
#ifndef FLEX_SETTING_NAMES_H
#define FLEX_SETTING_NAMES_H

extern char *flex_setting_closest(const char *name);
extern void flex_settings_reserve_prefix(void);

#endif /* FLEX_SETTING_NAMES_H */
