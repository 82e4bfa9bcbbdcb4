/*
 * signature.c
 *		Signatures: what has to be known of an SQL function to call its operation.
 *
 * The arguments and result of an operation are defined in one place, the SQL function.  This
 * file joins the function's row in pg_proc (names and types of the arguments, which of them
 * have defaults, the result) with the catalogue's row of the same name.  For a function that
 * is being called this is done once per query, and cached in fn_extra; for others, the
 * signatures are cached until any function changes.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "request/signature.h"

/* Return the catalogue's row for a function; raises 42P13 if there is none of its name. */
static const Operation *
operation_of(Form_pg_proc procedure)
{
	const Operation *operation = flex_operation_find(NameStr(procedure->proname));

	if (operation == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("the Flex API has no operation for function \"%s\"", NameStr(procedure->proname)),
						errhint("Call the functions that the extension defines, by their names.")));
	return operation;
}

/* Return the names of a function's input arguments; raises an error if one has no name. */
static char **
input_names(HeapTuple tuple, int count)
{
	Datum names;
	Datum modes;
	bool no_names;
	bool no_modes;
	char **result = NULL;
	int found = 0;

	names = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargnames, &no_names);
	modes = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargmodes, &no_modes);
	if (!no_names)
		found = get_func_input_arg_names(names, no_modes ? PointerGetDatum(NULL) : modes, &result);
	if (found < count)
		elog(ERROR, "arguments of a Flex API function have no names");
	return result;
}

/*
 * Create a decoder for a function's result, in the current context; NULL for void.  The
 * descriptor of a named row type is a copy in that context already, that of a record is the
 * caller's.
 */
static RowDecoder *
make_decoder(TypeFuncClass kind, Oid type, TupleDesc desc)
{
	if (kind == TYPEFUNC_COMPOSITE)
		return flex_decoder_create(desc->tdtypeid != RECORDOID ? desc : BlessTupleDesc(CreateTupleDescCopy(desc)));
	if (type != VOIDOID)
		elog(ERROR, "a Flex API function returns neither a row nor void");
	return NULL;
}

/* Make the signature of a function, without a decoder, in the current context. */
static Signature *
make_signature(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc procedure;
	Signature *signature;
	char **names = NULL;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	procedure = (Form_pg_proc) GETSTRUCT(tuple);
	signature = palloc0(offsetof(Signature, parameters) + sizeof(Parameter) * procedure->pronargs);
	signature->function = function;
	signature->operation = operation_of(procedure);
	signature->count = procedure->pronargs;
	signature->returns_set = procedure->proretset;
	if (procedure->pronargs > 0)
		names = input_names(tuple, procedure->pronargs);
	for (int i = 0; i < signature->count; i++)
		flex_parameter_describe(&signature->parameters[i], signature->operation, names[i],
								procedure->proargtypes.values[i], i < procedure->pronargs - procedure->pronargdefaults);
	ReleaseSysCache(tuple);
	return signature;
}

/* Return the signature of the function that is being called.  It lives as long as the FmgrInfo. */
Signature *
flex_signature_of_call(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		Signature *signature = make_signature(fcinfo->flinfo->fn_oid);
		TypeFuncClass kind;
		TupleDesc desc;
		Oid type;

		if (signature->operation->custom)
			elog(ERROR, "%s has an entry point of its own", signature->operation->name);
		kind = get_call_result_type(fcinfo, &type, &desc);
		signature->decoder = make_decoder(kind, type, desc);
		fcinfo->flinfo->fn_extra = signature;
		MemoryContextSwitchTo(before);
	}
	return fcinfo->flinfo->fn_extra;
}

/* Cache of signatures by operation.  It is discarded when any function changes. */
static MemoryContext kept_context;
static HTAB *kept_signatures;
static Oid kept_schema;     /* schema of the functions */
static bool kept_are_stale; /* set by the callback, which may run in the middle of any catalog access */

typedef struct KeptSignature
{
	const Operation *operation;
	Signature *signature;
} KeptSignature;

/* Syscache callback: a function has changed. */
static void
forget_signatures(Datum argument, int cache, uint32 hash)
{
	kept_are_stale = true;
}

/* Create the cache, or empty it. */
static void
begin_keeping(Oid schema)
{
	HASHCTL control = {.keysize = sizeof(Operation *), .entrysize = sizeof(KeptSignature)};

	if (kept_context == NULL)
	{
		kept_context = AllocSetContextCreate(TopMemoryContext, "flex_api signatures", ALLOCSET_DEFAULT_SIZES);
		CacheRegisterSyscacheCallback(PROCOID, forget_signatures, (Datum) 0);
	}
	kept_signatures = NULL;
	MemoryContextReset(kept_context);
	control.hcxt = kept_context;
	kept_signatures = hash_create("flex_api signatures", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	kept_schema = schema;
	kept_are_stale = false;
}

/*
 * Return the function of an operation, or InvalidOid if the schema has none.  The schema may
 * have other functions of that name; the one that belongs to the extension is meant.
 */
static Oid
function_of(const Operation *operation, Oid schema)
{
	Oid extension = get_extension_oid("flex_api", false);
	CatCList *candidates = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(operation->name));
	Oid function = InvalidOid;

	for (int i = 0; i < candidates->n_members; i++)
	{
		Form_pg_proc procedure = (Form_pg_proc) GETSTRUCT(&candidates->members[i]->tuple);

		if (procedure->pronamespace == schema && getExtensionOfObject(ProcedureRelationId, procedure->oid) == extension)
			function = procedure->oid;
	}
	ReleaseSysCacheList(candidates);
	return function;
}

/*
 * Return the signature of an operation from the cache; NULL if the schema has no function for
 * it.  The result is valid only until the next call, which may empty the cache.
 */
const Signature *
flex_signature_look_up(const Operation *operation, Oid schema)
{
	KeptSignature *kept;
	Signature *signature;
	MemoryContext before;
	Oid function;
	bool found;

	if (kept_signatures == NULL || kept_are_stale || kept_schema != schema)
		begin_keeping(schema);
	kept = hash_search(kept_signatures, &operation, HASH_FIND, &found);
	if (found)
		return kept->signature;
	function = function_of(operation, schema);
	if (!OidIsValid(function))
		return NULL;
	before = MemoryContextSwitchTo(kept_context);
	signature = make_signature(function);
	MemoryContextSwitchTo(before);
	kept = hash_search(kept_signatures, &operation, HASH_ENTER, &found);
	Assert(!found);
	kept->signature = signature;
	return signature;
}

/* Copy a signature into the current context, including the strings that are not in the catalogue. */
static Signature *
copy_signature(const Signature *signature)
{
	Size size = offsetof(Signature, parameters) + sizeof(Parameter) * signature->count;
	Signature *copy = palloc(size);

	memcpy(copy, signature, size);
	for (int i = 0; i < copy->count; i++)
	{
		copy->parameters[i].name = pstrdup(copy->parameters[i].name);
		copy->parameters[i].wire = pstrdup(copy->parameters[i].wire);
	}
	return copy;
}

/* The same, but return a copy in the current context. */
Signature *
flex_signature_of_operation(const Operation *operation, Oid schema)
{
	const Signature *kept = flex_signature_look_up(operation, schema);

	return kept != NULL ? copy_signature(kept) : NULL;
}

/* Create a decoder for the result of a signature's function, in the current context; NULL for void. */
RowDecoder *
flex_signature_decoder(const Signature *signature)
{
	TupleDesc desc;
	Oid type;
	TypeFuncClass kind = get_func_result_type(signature->function, &type, &desc);

	return make_decoder(kind, type, desc);
}

/* Copy the arguments of the function that is being called. */
void
flex_signature_values(const Signature *signature, FunctionCallInfo fcinfo, NullableDatum *values)
{
	Assert(fcinfo->flinfo->fn_oid == signature->function);
	if (fcinfo->nargs != signature->count)
		elog(ERROR, "a Flex API function was called with %d arguments", fcinfo->nargs);
	memcpy(values, fcinfo->args, sizeof(NullableDatum) * signature->count);
}

/* Return the index of an argument; raises an error if the function has none of that name and type. */
int
flex_signature_position(const Signature *signature, const char *name, Oid type)
{
	for (int i = 0; i < signature->count; i++)
	{
		if (strcmp(signature->parameters[i].name, name) == 0 && signature->parameters[i].type == type)
			return i;
	}
	elog(ERROR, "%s has no argument \"%s\" of type %s", signature->operation->name, name, format_type_be(type));
}
