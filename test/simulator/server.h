/*
 * server.h
 *	  The HTTP server: libmicrohttpd's callbacks.
 */
#ifndef SIMULATOR_SERVER_H
#define SIMULATOR_SERVER_H

#include <stdbool.h>

extern bool server_start(void);
extern void server_stop(void);

#endif
