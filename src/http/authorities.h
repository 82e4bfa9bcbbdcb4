/*
 * authorities.h
 *		Notices when files and directories of certificate authorities are replaced.
 */
#ifndef FLEX_AUTHORITIES_H
#define FLEX_AUTHORITIES_H

extern const char *flex_authorities_path(const char *name);
extern void flex_authorities_check_file(const char *file);
extern bool flex_authorities_will_do(const char *directory);
extern void flex_authorities_did_not_do(const char *directory);

#endif /* FLEX_AUTHORITIES_H */
