/*
 * settings.h
 *		The configuration parameters flex_api.*.
 */
#ifndef FLEX_SETTINGS_H
#define FLEX_SETTINGS_H

/* What becomes of a character of an answer that the database cannot hold. */
typedef enum Unrepresentable
{
	UNREPRESENTABLE_ERROR,
	UNREPRESENTABLE_REPLACE
} Unrepresentable;

/* What is kept of a request of the outbox when it has ended. */
typedef enum OutboxKeep
{
	OUTBOX_KEEP_ALL,
	OUTBOX_KEEP_IDENTIFIERS
} OutboxKeep;

/* Which requests get a line in the server's log. */
typedef enum LogActivity
{
	LOG_ACTIVITY_OFF,
	LOG_ACTIVITY_FAILURES, /* that did not succeed */
	LOG_ACTIVITY_ALL
} LogActivity;

/*
 * The values in force, kept by the server.  A string that is not set is NULL
 * or empty: ask flex_setting_is_set().
 */
typedef struct Settings
{
	char *account_sid;
	char *auth_token;
	char *auth_token_previous;
	char *api_key;
	char *api_secret;
	char *credentials_file;
	char *server; /* foreign server that calls use */
	char *base_url;
	char *proxy;
	char *ca_file;
	char *edge;
	char *region;
	int connect_timeout;   /* milliseconds, to be connected (TLS included) */
	int timeout;           /* milliseconds, a request with all its repeats */
	int max_retries;       /* repeats after the first try */
	int concurrency;       /* requests of the outbox under way at once, a sender */
	int callback_timeout;  /* milliseconds */
	int shutdown_grace;    /* milliseconds */
	int outbox_retention;  /* minutes; -1: for ever */
	int outbox_quota;      /* requests of a role that wait; -1: as many as it likes */
	int outbox_keep;       /* an OutboxKeep */
	int max_response_size; /* kilobytes, headers not counted */
	int unrepresentable;   /* an Unrepresentable */
	int log_activity;      /* a LogActivity */
	bool delivery;         /* the outbox's requests are sent */
	bool track_operations; /* requests are counted */
} Settings;

extern Settings flex_settings;

extern void flex_settings_define(void);
extern bool flex_setting_is_set(const char *value);

#endif /* FLEX_SETTINGS_H */
