/*
 * sendable.c
 *		Whether requests of a role and an account can be made at all.
 *
 * Asked before a lane's requests are claimed: where credentials are missing one is
 * claimed all the same, so that its row says what is wrong, but not all of them.  Of one
 * that has been claimed the rights of its role are asked, too.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "delivery/sendable.h"
#include "http/endpoint.h"

/* As whom, and where, a claimed request is to be made; its texts are the claim's. */
Identity
flex_claim_identity(const Claim *claim)
{
	return (Identity){.role = claim->role, .server = claim->server, .account_sid = claim->account_sid};
}

/*
 * True when there are credentials for requests of an identity.  Only look-ups are guarded,
 * which leave nothing behind that a subtransaction would have to clean up.
 */
bool
flex_is_sendable(const Identity *identity)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid user;
	int security;
	volatile bool is_sendable = true;

	GetUserIdAndSecContext(&user, &security);
	PG_TRY();
	{
		/* The settings are the sender's, which has the rights of the outbox's owner here. */
		SetUserIdAndSecContext(GetOuterUserId(), security);
		(void) flex_endpoint_of_identity(identity, true);
		SetUserIdAndSecContext(user, security);
	}
	PG_CATCH();
	{
		SetUserIdAndSecContext(user, security);
		MemoryContextSwitchTo(caller);
		if (geterrcode() == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		FlushErrorState();
		is_sendable = false;
	}
	PG_END_TRY();
	return is_sendable;
}

/* Raise when a claim cannot be sent, by anybody or for its role. */
void
flex_sendable_check(const Claim *claim, const Signature *signature)
{
	AclResult result;

	if (claim->foreign)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the request was enqueued in another database, of which this is a copy")));
	if (signature == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function %s does not exist", claim->operation)));
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(claim->role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the role that enqueued the request does not exist")));
	/* It may have been revoked since then. */
	result = flex_function_aclcheck(signature->function, claim->role);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, claim->operation);
}
