/*
 * replica_triggers.h
 *		Whether rows of logical replication are discarded.
 */
#ifndef FLEX_REPLICA_TRIGGERS_H
#define FLEX_REPLICA_TRIGGERS_H

extern void flex_replica_triggers_check(void);

#endif /* FLEX_REPLICA_TRIGGERS_H */
