/*
 * state_lock.h
 *	  The lock that is held while anything that the accounts have is read or changed.
 */
#ifndef SIMULATOR_STATE_LOCK_H
#define SIMULATOR_STATE_LOCK_H

#include <pthread.h>

extern pthread_mutex_t state_lock;

#endif
