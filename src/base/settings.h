/*
 * settings.h
 *		The configuration parameters flex_api.*.
 */
#ifndef FLEX_SETTINGS_H
#define FLEX_SETTINGS_H

/* How characters of an answer are treated that the database cannot store. */
typedef enum Unrepresentable
{
	UNREPRESENTABLE_ERROR,
	UNREPRESENTABLE_REPLACE
} Unrepresentable;

/* What the outbox keeps of a request that has ended. */
typedef enum OutboxKeep
{
	OUTBOX_KEEP_ALL,
	OUTBOX_KEEP_IDENTIFIERS
} OutboxKeep;

/* Which requests get a line in the server's log. */
typedef enum LogActivity
{
	LOG_ACTIVITY_OFF,
	LOG_ACTIVITY_FAILURES, /* those that did not succeed */
	LOG_ACTIVITY_ALL
} LogActivity;

/*
 * The current values.  A string that is not set is NULL or empty, see flex_setting_is_set().
 * Code that acts for a role reads most of them by the functions of effective.h.
 */
typedef struct Settings
{
	char *account_sid;
	char *auth_token;
	char *auth_token_previous;
	char *api_key;
	char *api_secret;
	char *credentials_file;
	char *server; /* name of the foreign server that calls use */
	char *base_url;
	char *proxy;
	char *ca_file;
	char *edge;
	char *region;
	int connect_timeout;   /* milliseconds, for the connection including TLS */
	int timeout;           /* milliseconds, for a request with all its repeats */
	int max_retries;       /* repeats after the first attempt */
	int concurrency;       /* requests at once, per sender or statement */
	int callback_timeout;  /* milliseconds */
	int shutdown_grace;    /* milliseconds */
	int outbox_retention;  /* minutes; -1: for ever */
	int outbox_quota;      /* waiting requests per role; -1: no limit */
	int outbox_keep;       /* an OutboxKeep */
	int max_response_size; /* kilobytes, headers not counted */
	int unrepresentable;   /* an Unrepresentable */
	int log_activity;      /* a LogActivity */
	bool delivery;         /* requests of the outbox are sent */
	bool track_operations; /* requests are counted in the statistics */
} Settings;

extern Settings flex_settings;

extern void flex_settings_define(void);
extern bool flex_setting_is_set(const char *value);

#endif /* FLEX_SETTINGS_H */
