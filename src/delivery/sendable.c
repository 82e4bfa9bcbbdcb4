/*
 * sendable.c
 *		Checks whether requests of a role and an account can be made at all.
 *
 * Before a lane's requests are claimed, the sender checks that there are credentials.  If not,
 * one request is claimed all the same, so that its row says what is wrong, but not all of them.
 * After a request has been claimed, the rights of its role are checked, too.
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

/* Return the identity for which a claimed request is to be made.  It refers to the claim's texts. */
Identity
flex_claim_identity(const Claim *claim)
{
	return (Identity){.role = claim->role, .server = claim->server, .account_sid = claim->account_sid};
}

/* Look up the credentials of an identity.  Raises an error if there are none. */
static void
look_for_credentials(void *argument)
{
	const Identity *identity = argument;
	Oid user;
	int security;

	/* We have the rights of the outbox's owner; settings are to be read with those of the sender's session. */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(GetOuterUserId(), security);
	(void) flex_endpoint_of_identity(identity, true);
	SetUserIdAndSecContext(user, security);
}

/* Return true if there are credentials for requests of an identity. */
bool
flex_is_sendable(const Identity *identity)
{
	return flex_attempt(look_for_credentials, unconstify(Identity *, identity)) == NULL;
}

/*
 * Raise an error if a claimed request must not be sent: it comes from another database, it has
 * expired, its function or role does not exist (signature is NULL without the function), or
 * the role lacks the right to call the function.
 */
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
	/* The role had the right when it enqueued the request, but that may have been revoked. */
	result = flex_function_aclcheck(signature->function, claim->role);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, claim->operation);
}
