/*
 * authorities.h
 *		Files of certificate authorities, which may be replaced under their names.
 */
#ifndef FLEX_AUTHORITIES_H
#define FLEX_AUTHORITIES_H

extern char *flex_authorities_path(const char *file);

#endif /* FLEX_AUTHORITIES_H */
