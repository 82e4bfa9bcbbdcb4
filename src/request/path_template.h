/*
 * path_template.h
 *		Matches paths with the path templates of the catalogue.
 */
#ifndef FLEX_PATH_TEMPLATE_H
#define FLEX_PATH_TEMPLATE_H

extern char *flex_path_read_leniently(const char *path);
extern bool flex_path_is_of(const char *template, const char *path, bool ignore_case);

#endif /* FLEX_PATH_TEMPLATE_H */
