/*
 * address.h
 *		Where requests go.
 */
#ifndef FLEX_ADDRESS_H
#define FLEX_ADDRESS_H

extern char *flex_address_origin(void);

#endif /* FLEX_ADDRESS_H */
