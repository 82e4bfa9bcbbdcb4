/*
 * server.h
 *	  What cppcheck has to know of PostgreSQL's headers, which it does not read: the macros that
 *	  look like no C, and that an error does not return.
 */
#define NOTICE 18
#define WARNING 19
#define ERROR 21
#define FATAL 22
#define PANIC 23
#define ereport(level, ...) do { if ((level) >= ERROR) abort(); } while (0)
#define elog(level, ...) do { if ((level) >= ERROR) abort(); } while (0)
#define Assert(condition) ((condition) ? (void) 0 : abort())
#define PG_RE_THROW() abort()
#define PG_TRY() {
#define PG_CATCH() } {
#define PG_FINALLY() } {
#define PG_END_TRY() }
#define foreach(cell, list) for (ListCell * cell = list_head(list); cell != NULL; cell = lnext(list, cell))
#define foreach_delete_current(list, cell) list_delete_nth_cell(list, 0)
#define StaticAssertDecl(condition, text) extern void static_assert_is_unused(void)
#define PG_FUNCTION_INFO_V1(name) extern Datum name(PG_FUNCTION_ARGS)
#define PG_FUNCTION_ARGS FunctionCallInfo fcinfo
#define PG_MODULE_MAGIC extern int magic
#define CppAsString(text) #text
#define CppAsString2(text) #text
#define INT64_FORMAT "%ld"
#define UINT64_FORMAT "%lu"
#define pg_noreturn _Noreturn
#define PGDLLEXPORT
#define pg_attribute_printf(a, b)
#define pg_attribute_noreturn() _Noreturn
