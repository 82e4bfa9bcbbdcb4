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

#include "base/attempt.h"
#include "base/compat.h"
#include "delivery/sendable.h"
#include "http/endpoint.h"

/* As whom, and where, a claimed request is to be made; its texts are the claim's. */
Identity
flex_claim_identity(const Claim *claim)
{
	return (Identity){.role = claim->role, .server = claim->server, .account_sid = claim->account_sid};
}

/* Look for the credentials of an identity; raises where there are none. */
static void
look_for_credentials(void *argument)
{
	const Identity *identity = argument;
	Oid user;
	int security;

	/* The settings are the sender's, which has the rights of the outbox's owner here. */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(GetOuterUserId(), security);
	(void) flex_endpoint_of_identity(identity, true);
	SetUserIdAndSecContext(user, security);
}

/* True when there are credentials for requests of an identity. */
bool
flex_is_sendable(const Identity *identity)
{
	return flex_attempt(look_for_credentials, unconstify(Identity *, identity)) == NULL;
}

/* Raise when a claim cannot be sent: by anybody, any more, or for its role. */
void
flex_sendable_check(const Claim *claim, const Signature *signature)
{
	AclResult result;

	if (claim->foreign)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the request was enqueued in another database, of which this is a copy")));
	if (flex_claim_has_expired(claim))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the request expired before it was sent")));
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
