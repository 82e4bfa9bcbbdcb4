/*
 * sendable.c
 *		Whether requests of a role and an account can be made at all.
 *
 * Asked before a lane's requests are claimed: where credentials are missing one is
 * claimed all the same, so that its row says what is wrong, but not all of them.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "delivery/sendable.h"
#include "http/endpoint.h"

/*
 * True when there are credentials for an account of a role.  Only look-ups are guarded,
 * which leave nothing behind that a subtransaction would have to clean up.
 */
bool
flex_is_sendable(Oid role, const char *account_sid)
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
		(void) flex_endpoint_of_settings(role, account_sid, true);
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
