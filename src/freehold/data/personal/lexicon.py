"""The words that the bundled rules know: given names, places, and words that are no names.

A small list of the makers' own, far from complete: it holds names that are frequent in some part of the
world, and leaves out those that are first of all a word (Will, May, Grace). What it does not hold is
found by the words around it, or not at all.
"""

from __future__ import annotations

_GIVEN = """
aaron abdul abdullah abel abigail abraham ada adam adele adrian adriana agata agnes agnieszka ahmad ahmed
aiden aino aisha akira alan alba albert alberto alejandra alejandro aleksander aleksandra alessandro alex
alexander alexandra alexis alfred alfredo ali alice alicia alina alison allison alma alvaro amanda amelia
amina amir amit amy ana anastasia anders andrea andreas andrei andrew andrzej andy angela angelo anita anja
ann anna anne annette annika anthony antje antoine anton antonia antonio antti anya arjun arne arthur arturo
asa ashley astrid audrey barbara bartosz beata beatrice beatriz benedict benjamin bernard bernd betty birgit
bjorn bogdan boris brandon brenda brian bridget britta bruno bryan caleb camille carla carlos carmen carol
carole carolina caroline caroline carolyn catalina catherine cathy cecilia cedric celine charles charlotte chen
chiara chloe chris christian christina christine christoph christopher christophe cindy claire clara claude
claudia claudio clemens colin connor cristina cynthia dagmar damian damien daniel daniela danielle danilo danny
darren david deborah deepak delphine denis denise dennis derek derrick diana diane diego dieter dimitri dinesh
dirk dmitri dmitry dominic dominik donald donna doris dorothy douglas dylan edgar eduardo edward edwin eileen
elena eleanor eleonora eliana elias elif elisabeth elise eliza elizabeth ella ellen elsa emil emilia emiliano
emilie emily emma emmanuel enrico enrique eric erica erik erika ernst esteban esther ethan eugene eva evelyn
fabian fabio fatima federico felix ferdinand fernanda fernando filip fiona florence florian francesca francesco
francis francisco francois frank franz fredrik frederic frederick frieda friedrich gabriel gabriela gabriele
gareth gary geoffrey georg george georgia gerald gerard gerhard giacomo gianluca gilbert gina giorgio giovanni
giulia giuseppe gonzalo gordon gottfried graham greg gregor gregory greta grzegorz guido guillaume gunnar
gustav gustavo hamza hannah hannes hanna hans harald haruto harold harry hassan heather hector heidi heike
heinrich helen helena helene helga helmut hendrik henri henrik henry herbert hermann hiroshi holger howard hugo
hussein ian ibrahim ida ignacio igor ilona ines ingrid inga irene irina irma isaac isabel isabella isabelle
ismael ivan ivana jaakko jack jackson jacob jacqueline jacques jakob jakub james jamie jan jana jane janet
janice janina jasmine jason javier jean jeffrey jelena jennifer jenny jens jeremy jerome jerry jessica jesus
jill joachim joan joanna joanne joao jochen joe joel johan johann johanna johannes john johnny jonas jonathan
jordi jorge jose josef joseph josephine joshua jouni joyce juan juanita judith judy juha julia julian juliana
julie julien juliette julio jurgen justin jutta kai kamil karen karin karina karl karla karolina katarina
katarzyna kate katharina katherine kathleen kathryn kathy katja katrin kazuo keiko keith kelly ken kenji kenneth
kevin kimberly kirsten klaus knut konrad konstantin kristen kristian kristin kristina krzysztof kumar kurt kyle
kyoko larry lars laszlo laura lauren laurent lea leah lena leo leon leonard leonardo leonie leticia lewis liam
lilian liliana lillian linda lindsay lisa lorenzo lorraine louis louise luca lucas lucia lucie luciano lucy
ludwig luigi luis luisa lukas lydia lynn maciej madeleine madison magdalena magnus maja malcolm malgorzata
manfred manuel manuela marc marcel marcela marcin marco marcos marcus margaret margarita margot maria mariam
mariana marianne marie marina mario marion marisa marta martha martin martina mary masato mateo mateusz mathias
mathieu mathilde matias matteo matthew matthias matti maurice mauricio max maxim maximilian megan mehmet
melanie melissa mercedes michael michaela michal michel michele michelle miguel mika mikael mikhail mikko milan
milena miriam mohamed mohammad mohammed monica monika morten muhammad mustafa nadia nadine nancy naomi natalia
natalie natasha nathan nathalie nicholas nicola nicolas nicole nils nina noah noemi nora norbert norman nuria
octavio olaf oleg olga oliver olivia olivier omar orlando oscar oskar otto pablo pamela paola paolo patricia
patrick patrizia patrik paul paula pauline paulo pavel pawel pedro peggy pekka penelope peter petra philip
philipp philippe phoebe phyllis pierre piotr priya rachel radoslaw rafael rahul raj rajesh ralf ralph ramon
ramona raquel raul ravi raymond rebecca regina reiner reinhard renata renate rene ricardo riccardo richard rita
robert roberta roberto robin rodney rodrigo roger roland rolf roman ronald ronny rosa rosalie rosemary roxanne
ruben rudolf rupert ruth ryan sabine sabrina sakura salma salvador samantha samir samuel sandra sanjay sara
sarah satoshi scott sean sebastian serena sergei sergey sergio shannon sharon shirley siegfried sigrid silke
silvia simon simone sofia sofie sonia sonja sophia sophie stanislav stefan stefania stefanie stella stephan
stephanie stephen steve steven stuart sunil susan susanna susanne suzanne sven svetlana sylvia sylvie takashi
takeshi tamara tanja tara tatiana ted teresa terry theo theodor theodore theresa therese thierry thomas thorsten
tiffany tim timo timothy tina tobias todd tom tomas tomasz tony tracy trevor ulrich ulrike ursula uwe valentina
valeria valerie vanessa vera veronica veronika vicente victor victoria viktor viktoria vincent vincenzo virginia
vivian vladimir waldemar walter wanda wayne wei wendy werner wilhelm william wojciech wolfgang xavier yasmin
yolanda yoshi yuki yusuf yves yvonne zahra zachary zoe zofia zuzana
"""
GIVEN_NAMES: frozenset[str] = frozenset(_GIVEN.split())

_COUNTRIES = """
Afghanistan|Albania|Algeria|Andorra|Angola|Argentina|Armenia|Australia|Austria|Azerbaijan|Bahamas|Bahrain
Bangladesh|Barbados|Belarus|Belgium|Belize|Benin|Bhutan|Bolivia|Bosnia and Herzegovina|Bosnia|Botswana|Brazil
Brunei|Bulgaria|Burkina Faso|Burundi|Cambodia|Cameroon|Canada|Cape Verde|Central African Republic|Chile|China
Colombia|Comoros|Costa Rica|Croatia|Cuba|Cyprus|Czech Republic|Czechia|Denmark|Djibouti|Dominican Republic
East Timor|Ecuador|Egypt|El Salvador|England|Equatorial Guinea|Eritrea|Estonia|Eswatini|Ethiopia|Fiji|Finland
France|Gabon|Gambia|Germany|Ghana|Greece|Greenland|Guatemala|Guinea|Guyana|Haiti|Honduras|Hong Kong|Hungary
Iceland|India|Indonesia|Iran|Iraq|Ireland|Israel|Italy|Ivory Coast|Jamaica|Japan|Kazakhstan|Kenya|Kosovo|Kuwait
Kyrgyzstan|Laos|Latvia|Lebanon|Lesotho|Liberia|Libya|Liechtenstein|Lithuania|Luxembourg|Madagascar|Malawi
Malaysia|Maldives|Mali|Malta|Mauritania|Mauritius|Mexico|Moldova|Monaco|Mongolia|Montenegro|Morocco|Mozambique
Myanmar|Namibia|Nepal|Netherlands|New Zealand|Nicaragua|Nigeria|North Korea|North Macedonia|Northern Ireland
Norway|Oman|Pakistan|Panama|Papua New Guinea|Paraguay|Peru|Philippines|Poland|Portugal|Puerto Rico|Qatar|Romania
Russia|Rwanda|Saudi Arabia|Scotland|Senegal|Serbia|Sierra Leone|Singapore|Slovakia|Slovenia|Somalia|South Africa
South Korea|South Sudan|Spain|Sri Lanka|Sudan|Suriname|Sweden|Switzerland|Syria|Taiwan|Tajikistan|Tanzania
Thailand|Togo|Trinidad and Tobago|Tunisia|Turkmenistan|Uganda|Ukraine|United Arab Emirates|United Kingdom
United States of America|United States|Uruguay|Uzbekistan|Venezuela|Vietnam|Wales|Yemen|Zambia|Zimbabwe
"""
_CITIES = """
Abu Dhabi|Accra|Addis Ababa|Adelaide|Amsterdam|Ankara|Antwerp|Athens|Atlanta|Auckland|Baghdad|Baltimore|Bangalore
Bangkok|Barcelona|Basel|Beijing|Beirut|Belfast|Belgrade|Bergen|Berlin|Bern|Birmingham|Bogotá|Bologna|Bordeaux
Boston|Bratislava|Bremen|Brisbane|Bristol|Brussels|Bucharest|Budapest|Buenos Aires|Cairo|Calgary|Cape Town
Caracas|Casablanca|Chennai|Chicago|Cologne|Copenhagen|Dallas|Delhi|Denver|Detroit|Dhaka|Dortmund|Dresden|Dubai
Dublin|Düsseldorf|Edinburgh|Essen|Florence|Frankfurt|Geneva|Genoa|Glasgow|Gothenburg|Graz|Hamburg|Hanoi|Hanover
Havana|Helsinki|Ho Chi Minh City|Houston|Hyderabad|Istanbul|Jakarta|Jerusalem|Johannesburg|Karachi|Kiev|Kolkata
Kraków|Kuala Lumpur|Kyiv|Kyoto|Lagos|Lausanne|Leeds|Leipzig|Lima|Lisbon|Liverpool|Ljubljana|London|Los Angeles
Lyon|Madrid|Malmö|Manchester|Manila|Marseille|Melbourne|Mexico City|Miami|Milan|Minneapolis|Montevideo|Montreal
Moscow|Mumbai|Munich|Münster|Nairobi|Nantes|Naples|New Delhi|New Orleans|New York|New York City|Nice|Nuremberg|Osaka|Oslo
Ottawa|Oxford|Paris|Perth|Philadelphia|Portland|Porto|Prague|Quebec|Quito|Riga|Rio de Janeiro|Riyadh|Rome|Rotterdam
Salzburg|San Diego|San Francisco|San José|Santiago|Sarajevo|Seattle|Seoul|Seville|Shanghai|Sheffield|Sofia|Stockholm
Strasbourg|Stuttgart|Sydney|São Paulo|Tallinn|Tampere|Tehran|Tel Aviv|The Hague|Tokyo|Toronto|Toulouse|Trieste|Tunis
Turin|Utrecht|Valencia|Vancouver|Venice|Vienna|Vilnius|Warsaw|Washington|Wellington|Winnipeg|Wrocław|Zagreb|Zürich|Zurich
California|Texas|Florida|Ontario|Bavaria|Catalonia|Scotland|Tuscany|Victoria|Queensland|Massachusetts|Pennsylvania
Ohio|Michigan|Virginia|Oregon|Colorado|Arizona|Illinois|Minnesota|Wisconsin|Tennessee|Kentucky|Alabama|Louisiana
"""
PLACES: tuple[str, ...] = tuple(
    sorted(
        {name.strip() for name in "|".join([_COUNTRIES, _CITIES]).replace("\n", "|").split("|")}
        - {""}
    )
)

_DEMONYMS = """
Afghan Albanian Algerian American Angolan Argentine Argentinian Armenian Australian Austrian Azerbaijani Bahraini
Bangladeshi Belarusian Belgian Belizian Belizean Bolivian Bosnian Brazilian British Bruneian Bulgarian Cambodian
Cameroonian Canadian Chilean Chinese Colombian Croatian Cuban Cypriot Czech Danish Dominican Dutch Ecuadorian
Egyptian Emirati English Eritrean Estonian Ethiopian Fijian Filipino Finnish French Gabonese Georgian German
Ghanaian Greek Greenlandic Guatemalan Haitian Honduran Hungarian Icelandic Indian Indonesian Iranian Iraqi Irish
Israeli Italian Jamaican Japanese Jordanian Kazakh Kenyan Korean Kosovar Kuwaiti Kyrgyz Laotian Latvian Lebanese
Liberian Libyan Lithuanian Luxembourgish Macedonian Malagasy Malaysian Maldivian Malian Maltese Mauritian Mexican
Moldovan Mongolian Montenegrin Moroccan Mozambican Namibian Nepalese Nicaraguan Nigerian Norwegian Omani Pakistani
Palestinian Panamanian Paraguayan Peruvian Polish Portuguese Qatari Romanian Russian Rwandan Salvadoran Saudi
Scottish Senegalese Serbian Singaporean Slovak Slovakian Slovenian Somali Spanish Sudanese Swedish Swiss Syrian
Taiwanese Tanzanian Thai Togolese Tunisian Turkish Turkmen Ugandan Ukrainian Uruguayan Uzbek Venezuelan Vietnamese
Welsh Yemeni Zambian Zimbabwean
Catholic Protestant Muslim Jewish Hindu Buddhist Christian Sikh Republican Democrat
"""
DEMONYMS: frozenset[str] = frozenset(_DEMONYMS.split())

_NO_NAMES = """
a about above after again against all almost along already also although always am among an and another any
anyone anything are around as ask asked at back be because been before being below best better between big both
but by bye call can cancel card cards change check city client clients close come company could current customer
customers date day days dear department did directed discover do does doing done down due during each either
email else end enter error even every everyone everything example few find first follow for found from full further
get give go going good great had has have having he hello help her here hers hey hi him his how however i if in
info instead into is it its just keep kind kindly know last later least left less let like list little live long
look lot made make many may maybe me meet mine more most mother mr mrs ms much must my name near need never new
next no nobody none nor not nothing now of off office often oh ok okay old on once one online only open or order
other others our ours out over own page part pay payment people person phone place please possible price product
provide question quite rather read really regards regarding reply request right said same say see seems send
service several shall she should show since so some someone something sometimes somewhere soon sorry start state
still stop store street such support sure take team tell than thank thanks that the their theirs them then there
these they thing things this those though through thus time to today together tomorrow too toward try two under
unless unlike until up update upon us use used user usually very via visit wait want was way we website welcome well
were what whatever when whenever where whether which while who whom whose why will with within without word work
would write wrong year years yes yesterday yet you your yours
monday tuesday wednesday thursday friday saturday sunday january february march april june july august
september october november december christmas easter
account accounts address agreement amendment annual api app apple application association atm author authors
authority authors bank bill black blue board book border bot brown bug builder building business case center
central centre chapter chief class code college committee common community computer conference congress
constitution contact content copyright corporation council country court crown data database debit credit death
defense demo design development device digital director division document draft east education election
engineering english enterprise executive exchange exit express facebook family federal file final finance fire
florida football force foreign format foundation fox free function future gallery game general global god golden
google government grand green ground group guide hall head health high hill history holy home hotel house human
image index information institute insurance intelligence interface international internet island issue java job
journal justice key king lake language law league level library life light line linux login lord love machine
magazine mail main major manager map market master medical memory microsoft middle military ministry mobile model
modern module money movie museum music national natural network news night north number object official open
orchestra palace paper park parliament party password peace personal photo pin police policy port power premium
president press prime private process program project property protocol public python queen radio railroad railway
real record red reference release report republic research rest review river road rock royal rule sales school
science season second secretary section security senate senior series server session settings shop sir society
software solution song source south special specification spring square staff standard star station status string
studio summer super supreme system table task tax technical technology television test text theory third title
total tower town track trade training travel treaty trust type uncle union united university user version video
view village virtual visa war water wave web week west western white window windows winter world zip
southern northern eastern western mastercard atms unfortunately transfers residents
street avenue apt suite box section abstract rationale motivation backwards compatibility acknowledgements
abstract introduction conclusion appendix footnotes alternatives rejected ideas implementation syntax semantics
discussion discussions specification optional required deprecated note notes true false none unicode ascii html xml
json http https ftp ssl tls sql cpu gpu ram usa uk eu uno nato
"""
NO_NAMES: frozenset[str] = frozenset(_NO_NAMES.split())

_TITLES = """
mr mrs ms mx dr prof rev hon sr sra mme mlle miss herr frau sir madam dame lord lady señor señora monsieur
madame professor doctor
"""
TITLE_WORDS: frozenset[str] = frozenset(_TITLES.split())

_ORGANISATIONS = """
inc llc ltd limited corp corporation co company gmbh ag plc bv oy ab as sa sas srl spa kg group holdings partners
labs systems solutions technologies services industries consulting ventures media analytics software networks
international associates foundation institute university bank
"""
ORGANISATION_WORDS: frozenset[str] = frozenset(_ORGANISATIONS.split())

_SMALL = """
street st avenue ave av road rd lane ln drive dr boulevard blvd court ct way place pl square sq terrace highway hwy
parkway apt apartment suite ste unit flat floor room box po rue calle via ul al avenida rua de la del della di da
dos du van von der den ter ten zu bin ibn the and of und et y inc llc ltd limited corp corporation co company gmbh
ag plc group bank university institute foundation holdings partners mr mrs ms dr prof
"""
SMALL_WORDS: frozenset[str] = frozenset(_SMALL.split())
"""Words inside names and addresses that say nothing of whose they are."""
