/*
 * json_web_token.h
 *		Makes JSON Web Tokens, signed with HS256.
 */
#ifndef FLEX_JSON_WEB_TOKEN_H
#define FLEX_JSON_WEB_TOKEN_H

extern char *flex_json_web_token(const char *header, const char *claims, const char *secret);

#endif /* FLEX_JSON_WEB_TOKEN_H */
