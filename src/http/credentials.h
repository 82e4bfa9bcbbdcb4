/*
 * credentials.h
 *		Who a request is made as.
 */
#ifndef FLEX_CREDENTIALS_H
#define FLEX_CREDENTIALS_H

extern char *flex_credentials_authorization(Oid role, const char *account);

#endif /* FLEX_CREDENTIALS_H */
