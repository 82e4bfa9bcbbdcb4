/*
 * compat.h
 *		Differences between the PostgreSQL releases that flex_api builds with.
 *
 * No other file has conditions on PG_VERSION_NUM or LIBCURL_VERSION_NUM: they use the names
 * that are defined here.  A comment names the release that has introduced the difference.
 */
#ifndef FLEX_COMPAT_H
#define FLEX_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "flex_api needs PostgreSQL 15 or later"
#endif

/* 16: PGDLLEXPORT sets the visibility.  Before, it is empty, but we build with -fvisibility=hidden. */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* 16: values of parameters are in a memory context instead of malloc'd. */
#if PG_VERSION_NUM >= 160000
#define flex_guc_malloc(size) guc_malloc(LOG, (size))
#define flex_guc_free(pointer) guc_free(pointer)
#else
#define flex_guc_malloc(size) malloc(size)
#define flex_guc_free(pointer) free(pointer)
#endif

/* 16: parameters are in a hash table, and get_guc_variables() palloc's an array of them. */
#if PG_VERSION_NUM >= 160000
#define flex_guc_variables(count) get_guc_variables(count)
#else
#define flex_guc_variables(count) (*(count) = GetNumConfigOptions(), get_guc_variables())
#endif

/* 16: the varlena macros are not in postgres.h any more. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 17: a WaitEventSet belongs to a resource owner, or none, instead of a memory context.  Ours last for the session. */
#if PG_VERSION_NUM >= 170000
#define flex_create_wait_event_set(nevents) CreateWaitEventSet(NULL, (nevents))
#else
#define flex_create_wait_event_set(nevents) CreateWaitEventSet(TopMemoryContext, (nevents))
#endif

/*
 * 17: a library that is not preloaded can have shared memory; before, flex_named_segment()
 * returns NULL.  19: the callback that initializes it has an argument.
 */
#if PG_VERSION_NUM >= 190000
#define FLEX_NAMED_SEGMENT_CALLBACK(name, function)                                                                    \
	static void name(void *memory, void *argument)                                                                     \
	{                                                                                                                  \
		function(memory);                                                                                              \
	}
#define flex_named_segment(name, size, callback) GetNamedDSMSegment((name), (size), (callback), &(bool){false}, NULL)
#else
#define FLEX_NAMED_SEGMENT_CALLBACK(name, function)                                                                    \
	static void name(void *memory)                                                                                     \
	{                                                                                                                  \
		function(memory);                                                                                              \
	}
#if PG_VERSION_NUM >= 170000
#define flex_named_segment(name, size, callback) GetNamedDSMSegment((name), (size), (callback), &(bool){false})
#else
#define flex_named_segment(name, size, callback) ((void) (callback), NULL)
#endif
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"
#endif

/* 19: names of LWLock tranches are in shared memory.  Before, each process has to register them. */
#if PG_VERSION_NUM >= 190000
#define flex_new_tranche(name) LWLockNewTrancheId(name)
#define flex_register_tranche(id, name) ((void) 0)
#else
#define flex_new_tranche(name) LWLockNewTrancheId()
#define flex_register_tranche(id, name) LWLockRegisterTranche((id), (name))
#endif

/* 19: a tuple descriptor has to be finalized when all of its attributes are set. */
#if PG_VERSION_NUM >= 190000
#define flex_finalize_descriptor(descriptor) TupleDescFinalize(descriptor)
#else
#define flex_finalize_descriptor(descriptor) ((void) (descriptor))
#endif

/* 17: the process number has another name. */
#if PG_VERSION_NUM >= 170000
#define flex_process_number() MyProcNumber
#else
#define flex_process_number() (MyProc->pgprocno)
#endif

/* 17: extensions can define wait events.  Before, all of theirs are shown as "Extension". */
#if PG_VERSION_NUM >= 170000
#define flex_wait_event(name) WaitEventExtensionNew(name)
#else
#define flex_wait_event(name) ((void) (name), PG_WAIT_EXTENSION)
#endif

/* 16: one function checks the privileges on all kinds of objects, and another one the ownership. */
#if PG_VERSION_NUM >= 160000
#define flex_function_aclcheck(function, role) object_aclcheck(ProcedureRelationId, (function), (role), ACL_EXECUTE)
#else
#define flex_function_aclcheck(function, role) pg_proc_aclcheck((function), (role), ACL_EXECUTE)
#endif

#if PG_VERSION_NUM >= 160000
#define flex_owns_database(database, role) object_ownercheck(DatabaseRelationId, (database), (role))
#else
#define flex_owns_database(database, role) pg_database_ownercheck((database), (role))
#endif

#if PG_VERSION_NUM >= 160000
#define flex_server_aclcheck(server, role) object_aclcheck(ForeignServerRelationId, (server), (role), ACL_USAGE)
#else
#define flex_server_aclcheck(server, role) pg_foreign_server_aclcheck((server), (role), ACL_USAGE)
#endif

/* 16: another name of the function that returns an entry of the backend status array.  The index begins at 1. */
#if PG_VERSION_NUM >= 160000
#define flex_local_backend_entry(index) pgstat_get_local_beentry_by_index(index)
#else
#define flex_local_backend_entry(index) pgstat_fetch_stat_local_beentry(index)
#endif

/* 19: an additional argument, which is set to the reason if there are no candidates. */
#if PG_VERSION_NUM >= 190000
#define flex_function_candidates(names) FuncnameGetCandidates((names), -1, NIL, false, false, false, true, &(int){0})
#else
#define flex_function_candidates(names) FuncnameGetCandidates((names), -1, NIL, false, false, false, true)
#endif

/* 18: an additional argument for a TID that does not count as a conflict.  Our tuple is not in the table yet. */
#if PG_VERSION_NUM >= 180000
#define flex_check_index_constraints(info, slot, state, other, arbiters)                                               \
	ExecCheckIndexConstraints((info), (slot), (state), (other), NULL, (arbiters))
#else
#define flex_check_index_constraints(info, slot, state, other, arbiters)                                               \
	ExecCheckIndexConstraints((info), (slot), (state), (other), (arbiters))
#endif

/* 16: an additional argument onlySummarizing.  19: flags instead of boolean arguments. */
#if PG_VERSION_NUM >= 190000
#define flex_insert_speculative_index_tuples(info, slot, state, conflict, arbiters)                                    \
	ExecInsertIndexTuples((info), (state), EIIT_NO_DUPE_ERROR, (slot), (arbiters), (conflict))
#define flex_insert_index_tuples(info, slot, state) ExecInsertIndexTuples((info), (state), 0, (slot), NIL, NULL)
#elif PG_VERSION_NUM >= 160000
#define flex_insert_speculative_index_tuples(info, slot, state, conflict, arbiters)                                    \
	ExecInsertIndexTuples((info), (slot), (state), false, true, (conflict), (arbiters), false)
#define flex_insert_index_tuples(info, slot, state)                                                                    \
	ExecInsertIndexTuples((info), (slot), (state), false, false, NULL, NIL, false)
#else
#define flex_insert_speculative_index_tuples(info, slot, state, conflict, arbiters)                                    \
	ExecInsertIndexTuples((info), (slot), (state), false, true, (conflict), (arbiters))
#define flex_insert_index_tuples(info, slot, state)                                                                    \
	ExecInsertIndexTuples((info), (slot), (state), false, false, NULL, NIL)
#endif

/* 18: an additional argument for counters that EXPLAIN shows.  19: another one for flags.  All of our scans have one key. */
#if PG_VERSION_NUM >= 190000
#define flex_begin_index_scan(table, index, snapshot) index_beginscan((table), (index), (snapshot), NULL, 1, 0, 0)
#elif PG_VERSION_NUM >= 180000
#define flex_begin_index_scan(table, index, snapshot) index_beginscan((table), (index), (snapshot), NULL, 1, 0)
#else
#define flex_begin_index_scan(table, index, snapshot) index_beginscan((table), (index), (snapshot), 1, 0)
#endif

/* 18: an additional argument, whether the key may be deferrable. */
#if PG_VERSION_NUM >= 180000
#define flex_primary_key_of(table) RelationGetPrimaryKeyIndex((table), false)
#else
#define flex_primary_key_of(table) RelationGetPrimaryKeyIndex(table)
#endif

/* 16: the role whose privileges are checked is in the plan, before in the range table. */
#if PG_VERSION_NUM >= 160000
#define flex_scan_user(node) (((ForeignScan *) (node)->ss.ps.plan)->checkAsUser)
#else
#define flex_scan_user(node) (exec_rt_fetch(((Scan *) (node)->ss.ps.plan)->scanrelid, (node)->ss.ps.state)->checkAsUser)
#endif

/* The same for a result relation.  A partition to which rows are routed has no entry, but its root has. */
#if PG_VERSION_NUM >= 160000
#define flex_result_user(info, state) ExecGetResultRelCheckAsUser((info), (state))
#else
#define flex_result_user(info, state)                                                                                  \
	((info)->ri_RangeTableIndex > 0 ? exec_rt_fetch((info)->ri_RangeTableIndex, (state))->checkAsUser                  \
	 : (info)->ri_RootResultRelInfo != NULL && (info)->ri_RootResultRelInfo->ri_RangeTableIndex > 0                    \
		 ? exec_rt_fetch((info)->ri_RootResultRelInfo->ri_RangeTableIndex, (state))->checkAsUser                       \
		 : InvalidOid)
#endif

/* 17: an additional argument fdw_restrictinfo.  18: an additional argument disabled_nodes. */
#if PG_VERSION_NUM >= 180000
#define flex_create_foreignscan_path(root, rel, rows, disabled, startup, total, outer, private)                        \
	create_foreignscan_path((root), (rel), NULL, (rows), (disabled), (startup), (total), NIL, (outer), NULL, NIL,      \
							(private))
#elif PG_VERSION_NUM >= 170000
#define flex_create_foreignscan_path(root, rel, rows, disabled, startup, total, outer, private)                        \
	create_foreignscan_path((root), (rel), NULL, (rows), (startup), (total), NIL, (outer), NULL, NIL, (private))
#else
#define flex_create_foreignscan_path(root, rel, rows, disabled, startup, total, outer, private)                        \
	create_foreignscan_path((root), (rel), NULL, (rows), (startup), (total), NIL, (outer), NULL, (private))
#endif

/* 17: estimate_array_length() has the argument root, to use statistics. */
#if PG_VERSION_NUM >= 170000
#define flex_estimate_array_length(root, node) estimate_array_length((root), (node))
#else
#define flex_estimate_array_length(root, node) estimate_array_length(node)
#endif

/*
 * 15.13, 16.9, 17.5: the byte that says whether commits wait for a synchronous standby has two bits instead of a bool,
 * at the same place.  The library may run on another minor version than that of the headers, so what the byte means
 * depends on the server's version.
 */
#define flex_has_standby_bits(version)                                                                                 \
	((version) >= 170005 || ((version) >= 160009 && (version) < 170000) || ((version) >= 150013 && (version) < 160000))
#if flex_has_standby_bits(PG_VERSION_NUM)
#define flex_standby_byte() (*(const volatile uint8 *) &WalSndCtl->sync_standbys_status)
#else
#define flex_standby_byte() (*(const volatile uint8 *) &WalSndCtl->sync_standbys_defined)
#define SYNC_STANDBY_INIT (1 << 0)    /* the checkpointer has set the other bit */
#define SYNC_STANDBY_DEFINED (1 << 1) /* commits wait */
#endif

/* 18: EXPLAIN has more header files. */
#if PG_VERSION_NUM >= 180000
#define FLEX_EXPLAIN_FORMAT_H "commands/explain_format.h"
#define FLEX_EXPLAIN_STATE_H "commands/explain_state.h"
#else
#define FLEX_EXPLAIN_FORMAT_H "commands/explain.h"
#define FLEX_EXPLAIN_STATE_H "commands/explain.h"
#endif

/* 18: pg_noreturn, which comes before the declaration. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18: a module has a name and a version. */
#if PG_VERSION_NUM >= 180000
#define FLEX_MODULE_MAGIC(n, v) PG_MODULE_MAGIC_EXT(.name = (n), .version = (v))
#else
#define FLEX_MODULE_MAGIC(n, v) PG_MODULE_MAGIC
#endif

#if defined(LIBCURL_VERSION_NUM) && LIBCURL_VERSION_NUM < 0x075700
#error "flex_api needs libcurl 7.87 or later"
#endif

#endif /* FLEX_COMPAT_H */
