/*
 * effects.h
 *	  What making or changing a resource does besides storing what was sent.
 */
#ifndef SIMULATOR_EFFECTS_H
#define SIMULATOR_EFFECTS_H

#include "rules.h"

/* channel_effects.c: chats and interactions */
extern bool require_flow(Change *change);
extern bool check_integration(Change *change);
extern bool identify_customer(Change *change);
extern bool count_version(Change *change);
extern bool prepare_interaction(Change *change);
extern bool open_channel(Change *change);
extern bool change_channel(Change *change);
extern bool tell_channel(Change *change);
extern bool tell_joined(Change *change);
extern bool tell_participant(Change *change);
extern bool route_invite(Change *change);
extern bool check_transfer(Change *change);

/* plugin_effects.c */
extern bool require_free_name(Change *change);
extern bool validate_version(Change *change);
extern bool require_plugins(Change *change);
extern bool configure_plugins(Change *change);
extern bool require_configuration(Change *change);

/* insights_effects.c */
extern bool collect_questions(Change *change);
extern bool describe_question(Change *change);
extern bool describe_assessment(Change *change);
extern bool describe_comment(Change *change);

/* instance_effects.c: what a Flex instance has, and conversations */
extern bool keep_events(Change *change);
extern bool number_message(Change *change);
extern bool tell_message(Change *change);
extern bool count_member(Change *change);
extern bool serve_provisioning(Request *request);

#endif
